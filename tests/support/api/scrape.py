"""Reads a scrape with the library's own parser."""

from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one sample of a name with these labels, None without any."""
        found = [each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()]
        assert len(found) <= 1, f"{name} {labels} is not unique: {found}"
        return found[0] if found else None

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the values of a name by the values of some labels."""
        found = [each for each in self.samples if each.name == name]
        return {tuple(each.labels[label] for label in labels): each.value for each in found}

    def names(self) -> dict[str, set[str]]:
        """Return the label names by the names of samples that have a value."""
        found: dict[str, set[str]] = {}
        for each in self.samples:
            found.setdefault(each.name, set()).update(each.labels)
        return found
