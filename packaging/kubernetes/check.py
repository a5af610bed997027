"""Holds what kustomize and Helm render against the Kubernetes API, and against what it must be.

Called by test.sh with the paths of kubectl and of ebpf-apply."""

import pathlib
import subprocess
import sys
import tempfile
import tomllib

import helm_python
import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
KUBECTL, PROGRAM = sys.argv[1:]
# The oldest that the chart allows, and the newest there is a schema of.
VERSIONS = ["1.28", kubernetes_validate.latest_version()]
IMAGE_VOLUMES_SINCE = (1, 31)


def number(version):
    return tuple(int(part) for part in version.split(".")[:2])


def kustomized():
    done = subprocess.run([KUBECTL, "kustomize", HERE], check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def charted(values, name="edge"):
    with helm_python.Chart.load(str(HERE / "helm")) as chart:
        rendered = chart.render(values=values, name=name)
    texts = (text for path, text in sorted(rendered.items()) if path.endswith(".yaml"))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def one(documents, kind):
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def check_api(what, documents):
    """Each is what every API server of these versions takes, without a key that it does not know."""
    images = "'reference'" in str(documents)
    for version in VERSIONS:
        if images and number(version) < IMAGE_VOLUMES_SINCE:
            continue
        for document in documents:
            kubernetes_validate.validate(document, version, strict=True)
            print(f"ok: {what}: {document['kind']} {document['metadata']['name']}, Kubernetes {version}")


def check_pod(documents, delivery="initContainer"):
    pod = one(documents, "DaemonSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    every = pod.get("initContainers", []) + [container]
    assert len(every) == (2 if delivery == "initContainer" else 1)
    for each in every:
        context = each["securityContext"]
        assert not context.get("privileged"), each["name"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"]["add"] == ["BPF", "NET_ADMIN", "PERFMON"]
    assert pod["hostNetwork"] is True and not pod.get("hostPID") and not pod.get("hostIPC")
    assert pod["automountServiceAccountToken"] is False

    args = container["args"]
    assert args[0] == "apply" and "--watch" in args
    assert args[args.index("--on-exit") + 1] == "keep", "the end of a pod unpins nothing"
    assert "lifecycle" not in container

    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert not any("subPath" in mount for mount in mounts.values()), "a subPath never changes"
    assert mounts["manifest"]["readOnly"] and mounts["objects"]["readOnly"]
    assert all("mountPropagation" not in mount for mount in mounts.values())
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(volumes) == set(mounts)
    config = one(documents, "ConfigMap")
    assert volumes["manifest"]["configMap"] == {"name": config["metadata"]["name"]}
    [(file, manifest)] = config["data"].items()
    path = f"{mounts['manifest']['mountPath']}/{file}"
    assert args[1] == path
    assert volumes["bpffs"]["hostPath"] == {"path": "/sys/fs/bpf", "type": "Directory"}
    assert mounts["bpffs"]["mountPath"] == "/sys/fs/bpf"
    assert volumes["records"]["hostPath"]["path"] == "/run/ebpf-apply"
    assert mounts["records"]["mountPath"] == "/run/ebpf-apply"

    name = tomllib.loads(manifest)["name"]
    probe = ["/usr/bin/ebpf-apply", "status", "--name", name, "--detailed-exitcode"]
    for kind in ["startupProbe", "readinessProbe"]:
        assert container[kind]["exec"]["command"] == probe, kind
    # A node that drifted is not mended by killing its holder.
    assert "livenessProbe" not in container
    check_program({3: args, 1: probe[1:]}, manifest)
    return container


def check_program(calls, manifest):
    """The program takes the manifest, and these command lines."""
    with tempfile.TemporaryDirectory() as place:
        text = manifest.replace("/objects/", f"{ROOT}/bpf/out/")
        path = pathlib.Path(place, "manifest.toml")
        path.write_text(text)
        subprocess.run([PROGRAM, "validate", path, "--deny", "warnings"], check=True)
        # 64 would be a wrong command line. That there is no such manifest is 3, no such deployment 1.
        for status, words in calls.items():
            state = ["--state-dir", str(path.with_name("state"))]
            done = subprocess.run([PROGRAM, *state, *words], capture_output=True, text=True)
            assert done.returncode == status, (words, done)


def must_be_refused(values, reason):
    try:
        charted(values)
    except helm_python.HelmError as error:
        assert reason in str(error), error
        print(f"ok: refused by the chart: {values}")
    else:
        raise AssertionError(f"{values} should be refused")


base = kustomized()
check_api("kustomize", base)
ours = check_pod(base)
assert one(base, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"

chart = charted({})
check_api("helm", chart)
theirs = check_pod(chart)
for key in ["securityContext", "resources", "volumeMounts"]:
    assert ours[key] == theirs[key], f"the base and the chart differ in {key}"

volume = charted({"objects": {"delivery": "imageVolume"}})
check_api("helm, an image as volume", volume)
check_pod(volume, "imageVolume")

more = charted(
    {
        "onExit": "end",
        "onDrift": "heal",
        "extraArgs": ["-v"],
        "image": {"tag": "9"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [],
        "priorityClassName": "",
        "resources": {},
    },
    name="my-ebpf-apply",
)
check_api("helm, other values", more)
daemonset = one(more, "DaemonSet")
assert daemonset["metadata"]["name"] == "my-ebpf-apply"
container = daemonset["spec"]["template"]["spec"]["containers"][0]
expected = ["--watch", "--on-exit", "end", "--on-drift", "heal", "--format", "json", "-v"]
assert container["args"][2:] == expected, container["args"]
assert container["image"] == "registry.example/ebpf-apply:9"
assert "digest" not in str(daemonset["spec"]["template"]["metadata"]), "a new manifest restarts no pod"
first, second = (one(charted({"manifest": text}), "DaemonSet") for text in ['name = "a"\n', 'name = "a" # new\n'])
assert first == second, "a new manifest restarts no pod"

must_be_refused({"onExit": "unpin"}, "onExit")
must_be_refused({"objects": {"delivery": "ftp"}}, "delivery")
must_be_refused({"privileged": True}, "privileged")
must_be_refused({"manifest": "version = 1\n"}, "the manifest has no line")
print("the base and the chart are as they must be")
