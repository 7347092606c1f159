"""The `job` block: whoever speaks last is heard, field by field."""

from __future__ import annotations

from dbcustody.api.job_template import JobTemplate, Resources, Toleration, merge_templates
from dbcustody.api.meta import ObjectRef

DATABASE = JobTemplate(
    resources=Resources(requests={"memory": "256Mi"}), node_selector={"disk": "fast"}, priority_class_name="low"
)
POLICY = JobTemplate(resources=Resources(limits={"cpu": "1"}), tolerations=(Toleration(key="backup"),))


def test_later_templates_win_field_by_field() -> None:
    """A field is taken whole; what a later one does not say stays."""
    assert merge_templates(DATABASE, None, POLICY) == JobTemplate(
        resources=Resources(limits={"cpu": "1"}),
        node_selector={"disk": "fast"},
        tolerations=(Toleration(key="backup"),),
        priority_class_name="low",
    )


def test_nothing_said_changes_nothing() -> None:
    """An empty block is no wish."""
    assert merge_templates() == merge_templates(None, JobTemplate()) == JobTemplate()
    assert merge_templates(DATABASE, JobTemplate()) == DATABASE


def test_every_field_is_merged() -> None:
    """No field is forgotten."""
    whole = JobTemplate(
        resources=Resources(),
        node_selector={"a": "b"},
        tolerations=(Toleration(),),
        priority_class_name="p",
        service_account_name="s",
        pod_labels={"a": "b"},
        pod_annotations={"a": "b"},
        image_pull_secrets=(ObjectRef(name="r"),),
    )
    assert merge_templates(DATABASE, whole) == whole
