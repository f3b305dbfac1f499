//! Compiled shaders, each compiled once per device.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType,
    ComputePipeline, ComputePipelineDescriptor, PipelineLayoutDescriptor, ShaderModuleDescriptor,
    ShaderSource, ShaderStages,
};

use crate::device::{Gpu, lock};
use crate::disk::DiskCache;
use crate::error::{Error, Result};
use crate::shader::Shader;

/// The pipelines of a device.
#[derive(Default)]
pub(crate) struct Pipelines {
    compiled: Mutex<HashMap<Shader, Arc<Pipeline>>>,
}

pub(crate) struct Pipeline {
    pub raw: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// Threads that compile at once.
const COMPILERS: usize = 4;

impl Gpu {
    /// The pipelines of shaders, in order; those that are new are compiled side
    /// by side.
    ///
    /// # Errors
    /// When the driver refuses one.
    pub(crate) fn pipelines(&self, shaders: &[&Shader]) -> Result<Vec<Arc<Pipeline>>> {
        let known = |shader: &Shader| lock(&self.pipelines.compiled).get(shader).cloned();
        let mut missing: Vec<&Shader> =
            shaders.iter().copied().filter(|shader| known(shader).is_none()).collect();
        missing.sort_by_key(|shader| (shader.name, &shader.text));
        missing.dedup();
        let share = missing.len().div_ceil(COMPILERS).max(1);
        std::thread::scope(|scope| {
            let compilers: Vec<_> = missing
                .chunks(share)
                .map(|share| scope.spawn(|| share.iter().try_for_each(|shader| self.compile(shader))))
                .collect();
            compilers.into_iter().try_for_each(|compiler| {
                compiler.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
        if let (false, Some(disk)) = (missing.is_empty(), &self.disk) {
            disk.save();
        }
        let compiled = shaders.iter().map(|shader| {
            known(shader).ok_or_else(|| Error::Failed(format!("shader `{}` is gone", shader.name)))
        });
        compiled.collect()
    }

    fn compile(&self, shader: &Shader) -> Result<()> {
        let what = format!("shader `{}`", shader.name);
        // The compiler of shaders may panic over a text that it should refuse.
        let compile = AssertUnwindSafe(|| self.guarded(&what, 0, || self.build(shader)));
        let pipeline = std::panic::catch_unwind(compile)
            .map_err(|_| Error::Failed(format!("{what}: the compiler panicked")))??;
        lock(&self.pipelines.compiled).insert(shader.clone(), Arc::new(pipeline));
        Ok(())
    }

    fn build(&self, shader: &Shader) -> Pipeline {
        let label = Some(shader.name);
        let source = ShaderSource::Wgsl(shader.text.as_ref().into());
        let module = self.device.create_shader_module(ShaderModuleDescriptor { label, source });
        let layout = self.layout(shader.reads, shader.has_faults);
        let pipeline_layout = self.device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..PipelineLayoutDescriptor::default()
        });
        let raw = self.device.create_compute_pipeline(&ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: self.disk.as_ref().map(DiskCache::raw),
        });
        Pipeline { raw, layout }
    }

    /// Parameters, the output, `reads` inputs, and the place for faults.
    fn layout(&self, reads: usize, has_faults: bool) -> BindGroupLayout {
        let kind = |index: usize| match index {
            0 => BufferBindingType::Uniform,
            index => BufferBindingType::Storage { read_only: (2..reads + 2).contains(&index) },
        };
        let entries: Vec<BindGroupLayoutEntry> = (0..reads + 2 + usize::from(has_faults))
            .map(|index| BindGroupLayoutEntry {
                binding: index as u32,
                visibility: ShaderStages::COMPUTE,
                ty: BindingType::Buffer {
                    ty: kind(index),
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        self.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries })
    }
}
