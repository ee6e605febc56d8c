"""deploy/kubernetes is what Kubernetes takes, and says what the code does; no cluster is asked."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.conf import settings

from speedtrade.datafolder import PROJECT
from speedtrade.processes import PREPARE, STOP_ORDER, WEB
from speedtrade.tests.test_compose import names_explained

FOLDER = PROJECT / "deploy" / "kubernetes"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    one for path in FILES for one in yaml.safe_load_all(path.read_text()) if one
]
VALUES = {"bind": "0.0.0.0", "port": "8000", "folder": "/tmp"}  # noqa: S104, S108 - in a container
VERSIONS = ("1.30", "1.37")  # the oldest that is meant, and the newest that is known here
SINGLE = {"beat", "feed", "venue"}
SECRETS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS")


def named(kind: str, name: str) -> dict[str, Any]:
    return next(o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name))


def pods() -> dict[str, dict[str, Any]]:
    """Name of the part -> the spec of its pod."""
    found = {}
    for one in OBJECTS:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[one["metadata"]["name"]] = spec["template"]["spec"]
    return found


PODS = pods()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_each_object_is_one_that_kubernetes_takes(one: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


def test_a_word_that_is_misspelt_is_found() -> None:
    """The search shown."""
    wrong = {**named("Deployment", "web"), "spec": {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_the_kustomization_names_every_file_and_no_other() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == [path.name for path in FILES]
    assert all(image["newTag"] != "latest" for image in KUSTOMIZATION["images"])


@pytest.mark.parametrize("process", STOP_ORDER, ids=lambda process: process.name)
def test_a_deployment_runs_the_command_that_up_runs_and_gives_it_time_to_end(process: Any) -> None:
    pod = PODS[process.name]
    (container,) = pod["containers"]
    assert container["command"] == process.command(VALUES)
    assert pod["terminationGracePeriodSeconds"] >= process.grace
    spec = named("Deployment", process.name)["spec"]
    if process.name in SINGLE:
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    else:
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_migrations_are_a_job_and_backups_are_made() -> None:
    assert PODS["migrate"]["containers"][0]["command"] == list(PREPARE)
    assert PODS["backup"]["containers"][0]["command"][:3] == ["python", "manage.py", "backup"]
    assert set(PODS) == {process.name for process in STOP_ORDER} | {"migrate", "backup"}


def test_the_migrations_come_before_the_rest() -> None:
    """The page takes them by their labels: what belongs to no part, the job, then everything."""
    page = (PROJECT / "docs" / "operations.md").read_text()
    steps = (
        "delete job migrate --ignore-not-found",
        "apply -k deploy/kubernetes -l '!part'",
        "apply -k deploy/kubernetes -l part=migrate",
        "wait --for=condition=complete --timeout=30m job/migrate",
        "apply -k deploy/kubernetes  ",
    )
    places = [page.index(step) for step in steps]
    assert places == sorted(places)
    labels = [(one["kind"], one["metadata"].get("labels", {}).get("part")) for one in OBJECTS]
    assert {kind for kind, part in labels if not part} == {
        "Namespace",
        "ConfigMap",
        "NetworkPolicy",
    }
    assert [kind for kind, part in labels if part == "migrate"] == ["Job"]


@pytest.mark.parametrize("name", PODS)
def test_every_container_is_a_small_target(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["envFrom"][:2] == [
            {"configMapRef": {"name": "speedtrade"}},
            {"secretRef": {"name": "speedtrade"}},
        ]


def test_every_variable_that_is_set_is_explained_and_the_owner_is_who_migrates() -> None:
    """What .env.example explains and nobody set has its default here as elsewhere."""
    told = set(named("ConfigMap", "speedtrade")["data"])
    assert told | set(SECRETS) <= names_explained()
    owners = [name for name, pod in PODS.items() if len(pod["containers"][0]["envFrom"]) > 2]
    assert owners == ["migrate"]
    assert PODS["migrate"]["containers"][0]["envFrom"][2] == {
        "secretRef": {"name": "speedtrade-owner", "optional": True}
    }


def test_no_secret_is_in_these_files() -> None:
    assert not [one for one in OBJECTS if one["kind"] == "Secret"]
    assert not set(SECRETS) & set(named("ConfigMap", "speedtrade")["data"])
    assert not [c for pod in PODS.values() for c in pod["containers"] if "env" in c]


def test_the_web_is_asked_whether_it_lives_and_whether_it_is_ready() -> None:
    (web,) = PODS["web"]["containers"]
    host = named("ConfigMap", "speedtrade")["data"]["ALLOWED_HOSTS"]
    for probe, path in (
        ("startupProbe", "/health/live"),
        ("livenessProbe", "/health/live"),
        ("readinessProbe", "/health/ready"),
    ):
        asked = web[probe]["httpGet"]
        assert asked["path"] == path
        assert asked["httpHeaders"] == [{"name": "Host", "value": host}]
    drain = int(named("ConfigMap", "speedtrade")["data"]["WEB_DRAIN_SECONDS"])
    assert web["readinessProbe"]["periodSeconds"] * 2 <= drain
    assert PODS["web"]["terminationGracePeriodSeconds"] >= WEB.grace


def test_what_there_is_more_than_once_scales_and_is_not_drained_all_at_once() -> None:
    for name in ("web", "worker"):
        assert named("HorizontalPodAutoscaler", name)["spec"]["minReplicas"] >= 2
        assert "replicas" not in named("Deployment", name)["spec"]  # the scaler's to say
    for name in ("web", "worker", "brokers"):
        budget = named("PodDisruptionBudget", name)["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == named("Deployment", name)["spec"]["selector"]


def test_nothing_is_reached_but_the_web_port() -> None:
    closed = named("NetworkPolicy", "closed")["spec"]
    assert closed["policyTypes"] == ["Ingress"] and "ingress" not in closed
    opened = [
        one["spec"]
        for one in OBJECTS
        if one["kind"] == "NetworkPolicy" and one["spec"].get("ingress")
    ]
    assert [one["podSelector"]["matchLabels"]["part"] for one in opened] == ["web"]
    assert opened[0]["ingress"][0]["ports"] == [{"port": "http"}]


def ports_out(part: str) -> set[int]:
    """The ports of servers that the pods of a part may go to."""
    found = set()
    for one in OBJECTS:
        if one["kind"] != "NetworkPolicy" or "egress" not in one["spec"]:
            continue
        chosen = one["spec"]["podSelector"].get("matchExpressions", [])
        if all(part in expression["values"] for expression in chosen):
            found |= {port["port"] for rule in one["spec"]["egress"] for port in rule["ports"]}
    return found


def test_letters_leave_from_where_they_are_sent_and_the_checklist_asks_their_server() -> None:
    """Fails where a mail server can be named in config.yaml that no pod reaches."""
    example = (PROJECT / ".env.example").read_text()
    (default,) = re.findall(r"^# EMAIL_PORT=(\d+)$", example, re.MULTILINE)
    (other,) = re.findall(r"first byte, as on port (\d+)\.", example)
    chosen = named("ConfigMap", "speedtrade")["data"]["EMAIL_PORT"]
    wanted = {int(default), int(other), int(chosen), settings.EMAIL_PORT}
    queue = settings.CELERY_TASK_ROUTES["accounts.tasks.letters_sweep"]["queue"]
    (sender,) = [
        name for name, pod in PODS.items() if f"--queues={queue}" in pod["containers"][0]["command"]
    ]
    for part in (sender, "web"):
        assert wanted <= ports_out(part), part
    for part in set(PODS) - {sender, "web"}:
        assert not wanted & ports_out(part), part
