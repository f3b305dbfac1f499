//! What a layer is wired from: its inputs by their names, and its parameters, which
//! are constants.

use std::sync::Arc;

use tract_onnx::prelude::{DatumType, OutletId, TVec, Tensor, TractResult, TypedModel};
use tract_onnx::tract_hir::internal::{SpecialOps, TypedOp, bail, format_err};

use super::Form;
use super::numbers::is_narrow;

/// The inputs of a node, by the names that the operator has for them.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) operator: String,
    names: &'static [&'static str],
    values: Vec<Option<T>>,
}

impl<T> Given<T> {
    pub(super) fn new(
        operator: &str,
        names: &'static [&'static str],
        present: impl Iterator<Item = (usize, T)>,
    ) -> Self {
        let mut values: Vec<Option<T>> = Vec::new();
        for (place, value) in present {
            values.resize_with(values.len().max(place + 1), || None);
            values[place] = Some(value);
        }
        Self { operator: operator.to_owned(), names, values }
    }

    /// The input, where it is there.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let place = self.names.iter().position(|known| *known == name)?;
        self.values.get(place)?.as_ref()
    }

    /// # Errors
    /// When the input is not there.
    pub(super) fn need(&self, name: &str) -> TractResult<&T> {
        self.get(name).ok_or_else(|| format_err!("{} lacks its input `{name}`", self.operator))
    }

    /// The inputs that have no name of their own, in groups of `count`.
    ///
    /// # Errors
    /// When one of a group is not there.
    pub(super) fn groups(&self, count: usize) -> TractResult<Vec<Vec<&T>>> {
        let rest = self.values.get(self.names.len()..).unwrap_or_default();
        let groups = rest.chunks(count).map(|group| {
            let group: Option<Vec<&T>> = group.iter().map(Option::as_ref).collect();
            group.filter(|group| group.len() == count)
        });
        let groups: Option<Vec<Vec<&T>>> = groups.collect();
        match groups {
            Some(groups) if !groups.is_empty() => Ok(groups),
            _ => bail!("{} takes {count} inputs for each of its tensors", self.operator),
        }
    }

    /// # Errors
    /// When there are more inputs than names.
    pub(super) fn no_more(&self) -> TractResult<()> {
        if self.values.len() <= self.names.len() {
            return Ok(());
        }
        bail!("{} has {} inputs, not {}", self.operator, self.values.len(), self.names.len())
    }
}

impl Given<Form> {
    /// The form of an input of narrow integers.
    ///
    /// # Errors
    /// When it is another datatype.
    pub(super) fn narrow(&self, name: &str) -> TractResult<&Form> {
        let form = self.need(name)?;
        if is_narrow(form.datatype) {
            return Ok(form);
        }
        bail!("{} takes no `{name}` of {:?}: only of UINT8 and INT8", self.operator, form.datatype)
    }

    /// # Errors
    /// When an input is there that is not of this datatype.
    pub(super) fn all_of(&self, names: &[&str], datatype: DatumType) -> TractResult<()> {
        for name in names {
            if let Some(found) = self.get(name).filter(|found| found.datatype != datatype) {
                let operator = &self.operator;
                bail!("{operator} takes no `{name}` of {:?} here: only of {datatype:?}", found.datatype);
            }
        }
        Ok(())
    }
}

/// A layer that is being wired.
pub(super) struct Wiring<'a> {
    pub(super) prefix: &'a str,
    pub(super) model: &'a mut TypedModel,
    pub(super) given: Given<OutletId>,
}

impl Wiring<'_> {
    pub(super) fn need(&self, name: &str) -> TractResult<OutletId> {
        self.given.need(name).copied()
    }

    /// Wires an operator. The last one has no name beside the layer's.
    pub(super) fn step(
        &mut self,
        name: &str,
        operator: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let name = self.name(name);
        Ok(self.model.wire_node(name, operator, inputs)?[0])
    }

    pub(super) fn add_const(&mut self, name: &str, tensor: Tensor) -> TractResult<OutletId> {
        let name = self.name(name);
        self.model.add_const(name, tensor)
    }

    pub(super) fn name(&self, name: &str) -> String {
        if name.is_empty() { self.prefix.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    pub(super) fn form(&self, outlet: OutletId) -> TractResult<Form> {
        let fact = self.model.outlet_fact(outlet)?;
        Ok(Form { datatype: fact.datum_type, shape: fact.shape.to_tvec() })
    }

    pub(super) fn rank(&self, outlet: OutletId) -> TractResult<usize> {
        Ok(self.model.outlet_fact(outlet)?.rank())
    }

    /// The value of an input that is a constant.
    pub(super) fn constant_of(&self, outlet: OutletId) -> TractResult<Option<Arc<Tensor>>> {
        Ok(self.model.outlet_fact(outlet)?.konst.clone())
    }

    /// The value of a parameter; `None` where it is not there.
    ///
    /// # Errors
    /// When it is computed.
    pub(super) fn parameter(&self, name: &str) -> TractResult<Option<Arc<Tensor>>> {
        let Some(&outlet) = self.given.get(name) else { return Ok(None) };
        match self.constant_of(outlet)? {
            Some(value) => Ok(Some(value)),
            None => bail!("{} takes no `{name}` that is computed: only a constant", self.given.operator),
        }
    }

    /// # Errors
    /// When the parameter is not one number.
    pub(super) fn scale(&self, name: &str) -> TractResult<f32> {
        self.given.need(name)?;
        Ok(self.lone(name, self.scales(name)?)?.unwrap_or(1.0))
    }

    /// # Errors
    /// When the parameter is not one number.
    pub(super) fn zero(&self, name: &str) -> TractResult<i32> {
        Ok(self.lone(name, self.zeros(name)?)?.unwrap_or(0))
    }

    /// The numbers of a scale, none where it is not there.
    pub(super) fn scales(&self, name: &str) -> TractResult<Vec<f32>> {
        self.parameter(name)?.map_or(Ok(Vec::new()), |value| floats(&value))
    }

    /// The numbers of a zero point, none where it is not there.
    pub(super) fn zeros(&self, name: &str) -> TractResult<Vec<i32>> {
        self.parameter(name)?.map_or(Ok(Vec::new()), |value| integers(&value))
    }

    fn lone<T: Copy>(&self, name: &str, values: Vec<T>) -> TractResult<Option<T>> {
        match values[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => bail!("{} takes one number as `{name}`, not {}", self.given.operator, values.len()),
        }
    }
}

pub(super) fn floats(tensor: &Tensor) -> TractResult<Vec<f32>> {
    Ok(tensor.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

pub(super) fn integers(tensor: &Tensor) -> TractResult<Vec<i32>> {
    Ok(tensor.cast_to::<i32>()?.try_as_plain_ram()?.as_slice::<i32>()?.to_vec())
}

/// The outlets of a layer with one output.
pub(super) fn lone(outlet: OutletId) -> TVec<OutletId> {
    TVec::from_elem(outlet, 1)
}
