import pytest

from lightning_voiceclone.core import registry


@pytest.fixture
def supply(tmp_path, monkeypatch):
    """Puts a package on the path, as pip would: a folder of metadata with one entry point, and a module."""

    def clear():
        registry._entries.cache_clear()
        registry.load_all.cache_clear()

    def add(package, name, value=None, source=None, kind="generators", requires=None):
        module = package.replace("-", "_")
        folder = tmp_path / package
        info = folder / f"{module}-2.5.dist-info"
        info.mkdir(parents=True)
        needs = "" if requires is None else f"Requires-Dist: {requires}\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n{needs}")
        group = f"[lightning_voiceclone.{kind}]"
        (info / "entry_points.txt").write_text(f"{group}\n{name} = {value or f'{module}:{name}'}\n")
        if source is not None:
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(folder)
        clear()
        return info

    yield add
    monkeypatch.undo()
    clear()
