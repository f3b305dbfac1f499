//! A client of the interface by which kubelet runs pods.

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    Capability, CdiDevice, ContainerConfig, ContainerMetadata, ContainerStatus, ContainerStatusRequest,
    CreateContainerRequest, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, NamespaceMode,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PodSandboxStatusRequest, PullImageRequest,
    RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest, SecurityProfile,
    StartContainerRequest, StatusRequest, StopContainerRequest, StopPodSandboxRequest,
    security_profile::ProfileType,
};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// kubelet, as far as a pod is concerned.
pub(crate) struct Kubelet {
    runtime: Runtime,
    channel: Channel,
    logs: PathBuf,
}

/// A pod that runs.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) address: String,
    config: PodSandboxConfig,
}

/// What a container of a pod is to be.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) image: &'a str,
    /// In the place of the image's own, if it is not empty.
    pub(crate) command: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Files of the machine, and where the container sees them.
    pub(crate) mounts: &'a [(PathBuf, &'a str)],
    /// Images whose files it sees, and where.
    pub(crate) volumes: &'a [(&'a str, &'a str)],
    /// Devices by the names that the Container Device Interface has for them.
    pub(crate) devices: &'a [&'a str],
    /// In bytes; 0: as much as there is.
    pub(crate) memory: i64,
}

impl Kubelet {
    pub(crate) fn connect(socket: PathBuf, logs: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::fs::create_dir_all(&logs).unwrap();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        // The connector knows where: the address is for the protocol's sake.
        let endpoint = Endpoint::from_static("http://containerd");
        let channel = runtime.block_on(endpoint.connect_with_connector(connect)).unwrap();
        Self { runtime, channel, logs }
    }

    /// Starts a pod whose runtime is samara.
    pub(crate) fn run_pod(&self, name: &str) -> Pod {
        self.try_run_pod(name).unwrap()
    }

    /// # Errors
    /// What containerd says.
    pub(crate) fn try_run_pod(&self, name: &str) -> Result<Pod, String> {
        let metadata = PodSandboxMetadata {
            name: name.to_owned(),
            uid: name.to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        };
        let config = PodSandboxConfig {
            metadata: Some(metadata),
            hostname: name.to_owned(),
            log_directory: self.logs.display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces()),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: "samara".to_owned() };
        let mut client = self.pods();
        let ran = self.runtime.block_on(client.run_pod_sandbox(request));
        let id = ran.map_err(|status| status.to_string())?.into_inner().pod_sandbox_id;
        let status = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: false };
        let status = self.runtime.block_on(client.pod_sandbox_status(status)).unwrap().into_inner();
        let address = status.status.unwrap().network.unwrap().ip;
        Ok(Pod { id, address, config })
    }

    /// Makes and starts a container as the manifests describe it: nobody's user,
    /// no capability, a root that is read only.
    ///
    /// # Errors
    /// What containerd says.
    pub(crate) fn run(&self, pod: &Pod, wanted: &Wanted<'_>) -> Result<String, String> {
        let environment = wanted.environment.iter();
        let envs = environment.map(|(key, value)| KeyValue { key: (*key).into(), value: (*value).into() });
        let mounts = wanted.mounts.iter().map(|(from, to)| Mount {
            host_path: from.display().to_string(),
            container_path: (*to).to_owned(),
            ..Mount::default()
        });
        let volumes = wanted.volumes.iter().map(|(image, to)| Mount {
            image: Some(ImageSpec { image: (*image).to_owned(), ..ImageSpec::default() }),
            container_path: (*to).to_owned(),
            readonly: true,
            ..Mount::default()
        });
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: "function".to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: wanted.image.to_owned(), ..ImageSpec::default() }),
            command: wanted.command.iter().map(|&word| word.to_owned()).collect(),
            envs: envs.collect(),
            mounts: mounts.chain(volumes).collect(),
            cdi_devices: wanted.devices.iter().map(|name| CdiDevice { name: (*name).to_owned() }).collect(),
            log_path: "function.log".to_owned(),
            linux: Some(restricted(wanted.memory)),
            ..ContainerConfig::default()
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let mut client = self.pods();
        self.runtime.block_on(async {
            let created = client.create_container(request).await.map_err(|status| status.to_string())?;
            let container_id = created.into_inner().container_id;
            let start = StartContainerRequest { container_id: container_id.clone() };
            if let Err(status) = client.start_container(start).await {
                // It would be in the way of the next one of its name.
                client.remove_container(RemoveContainerRequest { container_id }).await.unwrap();
                return Err(status.to_string());
            }
            Ok(container_id)
        })
    }

    /// Whether containerd is ready to run pods.
    pub(crate) fn is_ready(&self) -> bool {
        let request = StatusRequest { verbose: false };
        let status = self.runtime.block_on(self.pods().status(request));
        let conditions =
            status.ok().and_then(|status| status.into_inner().status).unwrap_or_default().conditions;
        let is_so =
            |what: &str| conditions.iter().any(|condition| condition.r#type == what && condition.status);
        is_so("RuntimeReady") && is_so("NetworkReady")
    }

    pub(crate) fn status(&self, container: &str) -> ContainerStatus {
        let request = ContainerStatusRequest { container_id: container.to_owned(), verbose: false };
        let status = self.runtime.block_on(self.pods().container_status(request)).unwrap();
        status.into_inner().status.unwrap()
    }

    /// The process of a container that runs.
    pub(crate) fn process(&self, container: &str) -> u32 {
        let request = ContainerStatusRequest { container_id: container.to_owned(), verbose: true };
        let status = self.runtime.block_on(self.pods().container_status(request)).unwrap();
        let info: serde_json::Value = serde_json::from_str(&status.into_inner().info["info"]).unwrap();
        info["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// Ends a container as kubelet does: SIGTERM, and after `timeout` seconds SIGKILL.
    pub(crate) fn stop(&self, container: &str, timeout: i64) {
        let request = StopContainerRequest { container_id: container.to_owned(), timeout };
        self.runtime.block_on(self.pods().stop_container(request)).unwrap();
    }

    /// Forgets a container that has ended.
    pub(crate) fn remove(&self, container: &str) {
        let request = RemoveContainerRequest { container_id: container.to_owned() };
        self.runtime.block_on(self.pods().remove_container(request)).unwrap();
    }

    pub(crate) fn remove_pod(&self, pod: &Pod) {
        let (id, mut client) = (pod.id.clone(), self.pods());
        self.runtime.block_on(async {
            client.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.clone() }).await.unwrap();
            client.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: id }).await.unwrap();
        });
    }

    /// Lets containerd fetch an image from its registry.
    ///
    /// # Errors
    /// What containerd says.
    pub(crate) fn pull(&self, image: &str) -> Result<(), String> {
        let image = Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() });
        let request = PullImageRequest { image, ..PullImageRequest::default() };
        let mut client = ImageServiceClient::new(self.channel.clone());
        self.runtime.block_on(client.pull_image(request)).map(|_| ()).map_err(|status| status.to_string())
    }

    /// What a pod's container has printed, as kubelet keeps it: lines with a time,
    /// a stream and a tag before them.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.logs.join("function.log")).unwrap_or_default()
    }

    fn pods(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }
}

/// The network is the pod's, and processes are seen by their own container only, as
/// pods have it that ask for nothing else.
fn namespaces() -> NamespaceOption {
    NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() }
}

fn restricted(memory: i64) -> LinuxContainerConfig {
    let nobody = Some(Int64Value { value: 65532 });
    let default =
        SecurityProfile { profile_type: ProfileType::RuntimeDefault.into(), ..SecurityProfile::default() };
    let none = Capability { drop_capabilities: vec!["ALL".to_owned()], ..Capability::default() };
    LinuxContainerConfig {
        resources: Some(LinuxContainerResources { memory_limit_in_bytes: memory, ..Default::default() }),
        security_context: Some(LinuxContainerSecurityContext {
            capabilities: Some(none),
            namespace_options: Some(namespaces()),
            run_as_user: nobody,
            run_as_group: nobody,
            readonly_rootfs: true,
            no_new_privs: true,
            seccomp: Some(default),
            ..LinuxContainerSecurityContext::default()
        }),
    }
}
