//! Adapters, and the devices that are opened on them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wgpu::{
    AdapterInfo, Backends, DeviceDescriptor, DeviceType, ExperimentalFeatures, Features, Instance,
    InstanceDescriptor, Limits,
};

use samara_nn::Precision;

use crate::disk::DiskCache;
use crate::error::{Error, Result};
use crate::lower::Abilities;
use crate::matrices::{self, Tried};
use crate::pipeline::Pipelines;
use crate::schedule::Bounds;

/// Which adapters may be used, and what is kept of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Whether a driver that computes on the CPU counts as a GPU.
    pub allow_software: bool,
    /// The folder in which compiled shaders are kept from one process to the
    /// next; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Whether each kernel is timed, which takes time itself.
    pub timings: bool,
    /// Whether what only some devices have is left unused where kernels can do
    /// without.
    pub plain: bool,
}

/// An adapter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterDescription {
    /// The number by which it is asked for: real GPUs come first.
    pub index: u32,
    pub name: String,
    /// What it is, through which interface, and its driver.
    pub details: String,
    /// What kernels may use there, in words.
    pub abilities: String,
    /// Whether it computes on the CPU.
    pub is_software: bool,
}

/// The GPUs of this machine. Adapters are looked for once, when first asked
/// for; a device is opened when first used, shared by all who use it, and
/// opened again once it was lost.
pub struct Gpus {
    options: GpuOptions,
    adapters: OnceLock<Adapters>,
    open: Mutex<HashMap<(usize, Precision), Arc<Gpu>>>,
}

struct Adapters {
    found: Vec<wgpu::Adapter>,
}

/// An open device.
pub(crate) struct Gpu {
    pub name: String,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub pipelines: Pipelines,
    pub disk: Option<DiskCache>,
    pub abilities: Abilities,
    pub bounds: Bounds,
    /// Whether kernels are timed.
    pub timings: bool,
    /// Floating-point operations that one submission may take.
    pub submission: u64,
    /// Whether its cooperative matrices compute right, where it has any.
    pub tried: Tried,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    /// Why the device is gone.
    lost: Option<String>,
    /// An error that no call was there to take.
    stray: Option<String>,
}

impl Gpus {
    pub fn new(options: GpuOptions) -> Self {
        Self { options, adapters: OnceLock::new(), open: Mutex::default() }
    }

    /// The adapters of this machine, software ones too.
    pub fn adapters(&self) -> Vec<AdapterDescription> {
        self.found().found.iter().enumerate().map(|(index, adapter)| describe(index, adapter)).collect()
    }

    /// The adapter that a model runs on: the one with this number, or the first.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], which lists those found.
    pub fn choose(&self, index: Option<u32>) -> Result<AdapterDescription> {
        let adapters = self.adapters();
        let usable = |adapter: &&AdapterDescription| self.options.allow_software || !adapter.is_software;
        let chosen = match index {
            Some(index) => adapters.iter().find(|adapter| adapter.index == index).filter(usable),
            None => adapters.iter().find(usable),
        };
        chosen.cloned().ok_or_else(|| Error::NoAdapter(self.none(index, &adapters)))
    }

    /// The device on an adapter for models of this precision: what is experimental
    /// in a driver is asked for, for those alone that need it.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when there is none that may be used, or it cannot be
    /// opened; [`Error::NoMatrices`] where it lacks what the precision needs.
    pub(crate) fn open(&self, index: Option<u32>, precision: Precision) -> Result<Arc<Gpu>> {
        let index = self.choose(index)?.index as usize;
        let mut open = lock(&self.open);
        if let Some(gpu) = open.get(&(index, precision)).filter(|gpu| gpu.check().is_ok()) {
            return Ok(Arc::clone(gpu));
        }
        let gpu = Arc::new(Gpu::open(&self.found().found[index], &self.options, precision)?);
        open.insert((index, precision), Arc::clone(&gpu));
        Ok(gpu)
    }

    /// The cooperative matrices that an adapter lists.
    #[cfg(test)]
    pub(crate) fn matrices(&self, index: usize) -> Vec<wgpu::CooperativeMatrixProperties> {
        self.found().found[index].cooperative_matrix_properties()
    }

    fn found(&self) -> &Adapters {
        self.adapters.get_or_init(Adapters::find)
    }

    /// Why no adapter can be used.
    fn none(&self, index: Option<u32>, adapters: &[AdapterDescription]) -> String {
        if adapters.is_empty() {
            return format!("no GPU adapter was found: {}", crate::missing::reason(Path::new("/")));
        }
        let list: Vec<String> = adapters
            .iter()
            .map(|adapter| format!("{}: {} ({})", adapter.index, adapter.name, adapter.details))
            .collect();
        let list = list.join(", ");
        match index {
            Some(index) if adapters.iter().all(|adapter| adapter.index != index) => {
                format!("there is no GPU adapter {index}; found are {list}")
            }
            _ => format!(
                "only software adapters were found, which count as a GPU only with `--allow-software-gpu`: {list}"
            ),
        }
    }
}

impl Adapters {
    fn find() -> Self {
        let backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
        let descriptor = InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() };
        let instance = Instance::new(descriptor);
        let mut found = pollster::block_on(instance.enumerate_adapters(backends));
        found.sort_by_key(|adapter| rank(adapter.get_info().device_type));
        Self { found }
    }
}

/// Faster kinds of adapters first.
fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterDescription {
    let info = adapter.get_info();
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software adapter",
        DeviceType::Other => "GPU",
    };
    let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ");
    AdapterDescription {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        name: info.name.clone(),
        details: format!("{kind}, {}, {}", info.backend, driver.trim()),
        abilities: abilities(adapter, &info),
        is_software: info.device_type == DeviceType::Cpu,
    }
}

fn abilities(adapter: &wgpu::Adapter, info: &AdapterInfo) -> String {
    let (features, limits) = (adapter.features(), adapter.limits());
    let has = |feature, text: String| features.contains(feature).then_some(text);
    let parts = [
        has(Features::SHADER_F16, "F16".to_owned()),
        has(Features::SHADER_INT64, "64-bit integers".to_owned()),
        has(
            Features::SUBGROUP,
            format!("subgroups of {} to {}", info.subgroup_min_size, info.subgroup_max_size),
        ),
        has(Features::TIMESTAMP_QUERY, "timestamps".to_owned()),
        has(Features::PIPELINE_CACHE, "a cache of pipelines".to_owned()),
        Some(format!("{} MiB in a binding", limits.max_storage_buffer_binding_size >> 20)),
        Some(format!("{} KiB of workgroup memory", limits.max_compute_workgroup_storage_size >> 10)),
    ];
    let listed = adapter.cooperative_matrix_properties();
    let matrices = (!listed.is_empty()).then(|| matrices::list(&listed));
    parts.into_iter().flatten().chain(matrices).collect::<Vec<String>>().join(", ")
}

fn request(
    adapter: &wgpu::Adapter,
    descriptor: &DeviceDescriptor<'_>,
) -> Result<(wgpu::Device, wgpu::Queue)> {
    pollster::block_on(adapter.request_device(descriptor))
        .map_err(|error| Error::NoAdapter(format!("{} cannot be opened: {error}", adapter.get_info().name)))
}

/// What a submission takes at most, so that a run can be given up between two:
/// about a tenth of a second on a slow device of the kind.
const SUBMISSION: u64 = 50_000_000_000;
const SOFTWARE_SUBMISSION: u64 = 150_000_000;

impl Gpu {
    fn open(adapter: &wgpu::Adapter, options: &GpuOptions, precision: Precision) -> Result<Self> {
        let info = adapter.get_info();
        let cooperative = match precision {
            Precision::Exact => None,
            Precision::Fp16 => Some(matrices::choose(adapter)?),
        };
        let mut wanted =
            Features::SHADER_F16 | Features::SHADER_INT64 | Features::SUBGROUP | Features::PIPELINE_CACHE;
        if options.plain {
            wanted.remove(Features::SUBGROUP);
        }
        if cooperative.is_some() {
            wanted |= matrices::FEATURES;
        }
        if options.timings {
            wanted |= Features::TIMESTAMP_QUERY;
        }
        let features = adapter.features() & wanted;
        if options.timings && !features.contains(Features::TIMESTAMP_QUERY) {
            return Err(Error::NoAdapter(format!("{} cannot time its kernels", info.name)));
        }
        let limits: Limits = adapter.limits();
        let descriptor = DeviceDescriptor {
            label: Some("samara"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: cooperative
                .map_or(ExperimentalFeatures::disabled(), |_| matrices::token()),
            ..DeviceDescriptor::default()
        };
        let (device, queue) = match precision {
            Precision::Exact => request(adapter, &descriptor)?,
            Precision::Fp16 => matrices::guarded(&info.name, || request(adapter, &descriptor))?,
        };
        let faults: Arc<Mutex<Faults>> = Arc::default();
        let lost = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            lock(&lost).lost = Some(format!("{reason:?} {message}").trim().to_owned());
        });
        let stray = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&stray).stray = Some(error.to_string());
        }));
        let abilities = Abilities {
            f16: features.contains(Features::SHADER_F16),
            int64: features.contains(Features::SHADER_INT64),
            subgroups: features.contains(Features::SUBGROUP),
            long_loops: info.device_type != DeviceType::Cpu,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            cooperative,
        };
        let bounds = Bounds {
            tensor: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment),
            workgroups: limits.max_compute_workgroups_per_dimension,
        };
        let is_software = info.device_type == DeviceType::Cpu;
        let submission = if is_software { SOFTWARE_SUBMISSION } else { SUBMISSION };
        let purpose = if cooperative.is_some() { "-fp16" } else { "" };
        let folder = options.cache.as_deref();
        let disk = folder.and_then(|folder| DiskCache::open(&device, &info, folder, purpose));
        let pipelines = Pipelines::default();
        let timings = options.timings;
        let (name, tried) = (info.name, Tried::default());
        Ok(Self {
            name,
            device,
            queue,
            pipelines,
            disk,
            abilities,
            bounds,
            timings,
            submission,
            tried,
            faults,
        })
    }

    /// # Errors
    /// [`Error::Lost`] once the device is gone, [`Error::Failed`] for an error
    /// that came up since this was last asked.
    pub(crate) fn check(&self) -> Result<()> {
        let mut faults = lock(&self.faults);
        if let Some(reason) = &faults.lost {
            return Err(Error::Lost(reason.clone()));
        }
        match faults.stray.take() {
            Some(stray) => Err(Error::Failed(stray)),
            None => Ok(()),
        }
    }

    /// Whether the device is gone.
    pub(crate) fn is_lost(&self) -> bool {
        lock(&self.faults).lost.is_some()
    }

    /// Whether the device is gone, asked of the device itself: it tells of its
    /// loss only when it is asked for something.
    pub(crate) fn was_lost(&self) -> bool {
        // Its answer comes through the callback.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.is_lost()
    }

    /// Does `work`, and gives the error that the device met in it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for `what`, [`Error::Lost`], [`Error::Failed`].
    pub(crate) fn guarded<T>(&self, what: &str, size: u64, work: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let done = work();
        let errors = [validation.pop(), internal.pop()].map(pollster::block_on);
        let exhausted = pollster::block_on(memory.pop());
        if exhausted.is_none() && errors.iter().all(Option::is_none) {
            return Ok(done);
        }
        if self.was_lost() {
            self.check()?;
        }
        if exhausted.is_some() {
            return Err(Error::OutOfMemory { what: what.to_owned(), size });
        }
        let reasons: Vec<String> = errors.iter().flatten().map(ToString::to_string).collect();
        Err(Error::Failed(format!("{what}: {}", reasons.join("; "))))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
