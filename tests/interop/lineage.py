"""Opens every lineage document of a folder with the PyPI package `prov` and checks what it says: lineage.py DOCUMENTS

The folder is what `lingate-sandbox lineage --store ... --documents DOCUMENTS` writes.
"""
import pathlib, sys

from prov.constants import PROV_TYPE
from prov.model import ProvActivity, ProvAgent, ProvAssociation, ProvDocument, ProvEntity, ProvGeneration, ProvUsage


def values(record, name):
    return {str(value) for attribute, value in record.attributes if str(attribute) == name}


def check(document):
    entities = {str(entity.identifier): entity for entity in document.get_records(ProvEntity)}
    activities = {str(activity.identifier): activity for activity in document.get_records(ProvActivity)}
    agents = {str(agent.identifier) for agent in document.get_records(ProvAgent)}
    epochs = [name for name in entities if name.startswith("lingate:epoch/")]
    plans = [name for name in entities if "prov:Plan" in {str(t) for t in entities[name].get_attribute(PROV_TYPE)}]
    sources = [name for name in entities if name.startswith("lingate:source/")]
    assert len(epochs) == 1 and len(plans) == 1 and sources, "one epoch, one plan, at least one source"
    for kind in ("lingate:gateway/", "lingate:plant", "lingate:sandbox/"):
        assert any(name.startswith(kind) for name in agents), f"no agent {kind}"
    for name in sources:
        assert values(entities[name], "lingate:source"), f"{name} does not say where it is read"
    steps = [activity for activity in activities.values() if values(activity, "lingate:step")]
    assert len(steps) >= 2 and all(values(step, "lingate:term") for step in steps), "steps without their term"
    for usage in document.get_records(ProvUsage):
        ends = [str(value) for _, value in usage.formal_attributes[:2]]
        assert ends[0] in activities and ends[1] in entities, f"{ends} is not in the document"
    generated = [[str(value) for _, value in it.formal_attributes[:2]] for it in document.get_records(ProvGeneration)]
    assert [entity for entity, _ in generated] == epochs and generated[0][1] in activities, "who generated the epoch?"
    for link in document.get_records(ProvAssociation):
        activity, agent, plan = (str(value) for _, value in link.formal_attributes[:3])
        assert activity in activities and agent in agents and plan == plans[0], "an activity without its agent or plan"
    assert ProvDocument.deserialize(content=document.serialize(format="json"), format="json") == document
    assert document.get_provn().startswith("document")
    return len(sources), len(steps)


paths = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
assert paths, "no document to check"
for path in paths:
    sources, steps = check(ProvDocument.deserialize(content=path.read_text(encoding="utf-8"), format="json"))
    print(f"{path.stem}: {sources} sources, {steps} steps: opened by prov, read again from its own JSON, and sound")
