//! The text of manifests for Kubernetes. Whatever comes from an image is written
//! as a JSON string, which YAML reads as what it is.

use std::fmt::Write;

use samara_package::manifest::Capabilities;
use serde_json::json;

/// What an image is run as.
pub(super) enum Workload {
    Served(Served),
    /// Run to its end. The component is its first argument; memory is in MiB.
    Command {
        component: String,
        memory: u64,
    },
}

/// A function that is served.
pub(super) struct Served {
    /// In MiB.
    pub(super) memory: u64,
    pub(super) gpu: bool,
    /// What it asks for, which whoever applies the manifest may grant.
    pub(super) asked: Capabilities,
}

impl Workload {
    /// The first argument of a command.
    pub(super) fn component(&self) -> Option<&str> {
        match self {
            Workload::Served(_) => None,
            Workload::Command { component, .. } => Some(component),
        }
    }
}

/// The manifest of a workload. `name` is a label, `image` names a digest.
pub(super) fn manifest(name: &str, image: &str, replicas: u32, workload: &Workload) -> String {
    let image = json!(image);
    match workload {
        Workload::Served(served) => {
            let environment = environment(&served.asked);
            let limits = limits(served);
            let budget = if replicas > 1 { disruption(name) } else { String::new() };
            deployment(name, &image.to_string(), replicas, served.memory, &environment, &limits)
                + &service(name)
                + &budget
        }
        Workload::Command { component, memory } => {
            job(name, &image.to_string(), &json!([component]).to_string(), *memory)
        }
    }
}

fn limits(served: &Served) -> String {
    let mut limits = format!("              memory: {}Mi\n", served.memory * 4);
    if served.gpu {
        limits.push_str("              nvidia.com/gpu: 1\n");
    }
    limits
}

/// What the function asks for, for a person to grant or to leave.
fn environment(asked: &Capabilities) -> String {
    let mut lines = Vec::new();
    if !asked.http.is_empty() {
        lines.push(("SAMARA_ALLOW_HTTP".to_owned(), json!(asked.http.join(","))));
    }
    lines.extend(asked.environment.iter().map(|name| (name.clone(), json!(""))));
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str(
            "          # The function asks for these; take the marks away to grant them.\n          # env:\n",
        );
    }
    for (name, value) in lines {
        let _ = writeln!(text, "          #   - name: {}\n          #     value: {value}", json!(name));
    }
    for directory in &asked.directories {
        let _ = writeln!(text, "          # It asks for a volume at {}.", json!(directory.guest));
    }
    text
}

fn deployment(
    name: &str,
    image: &str,
    replicas: u32,
    memory: u64,
    environment: &str,
    limits: &str,
) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
    spec:
      runtimeClassName: samara
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {name}
          image: {image}
{environment}          ports:
            - name: http
              containerPort: 8080
          startupProbe:
            httpGet:
              path: /v2/health/ready
              port: http
            periodSeconds: 1
            failureThreshold: 120
          readinessProbe:
            httpGet:
              path: /v2/health/ready
              port: http
            periodSeconds: 2
          livenessProbe:
            httpGet:
              path: /v2/health/live
              port: http
            periodSeconds: 10
          resources:
            requests:
              cpu: 100m
              memory: {memory}Mi
            limits:
{limits}          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
"
    )
}

fn service(name: &str) -> String {
    format!(
        "\
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
spec:
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: http
      port: 80
      targetPort: http
"
    )
}

fn disruption(name: &str) -> String {
    format!(
        "\
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
"
    )
}

fn job(name: &str, image: &str, command: &str, memory: u64) -> String {
    let words = format!("          command: {command}\n          # args: [\"...\"]\n");
    run_to_end(name, image, "  backoffLimit: 2\n", &words, memory)
}

/// A Job up to what its container mounts. `settings` are the Job's own, `words` what
/// its container is told.
pub(super) fn run_to_end(name: &str, image: &str, settings: &str, words: &str, memory: u64) -> String {
    let limit = memory * 4;
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: {name}
spec:
{settings}  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
    spec:
      runtimeClassName: samara
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      containers:
        - name: {name}
          image: {image}
{words}          resources:
            requests:
              cpu: 100m
              memory: {memory}Mi
            limits:
              memory: {limit}Mi
"
    )
}
