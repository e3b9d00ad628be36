"""Write the hashes of the built-in files anew, after one of them was rebuilt: `python -m emovoca_cli.assets`."""

from __future__ import annotations

from emovoca_cli.assets import ASSETS, HASHES, asset_files
from emovoca_cli.files import hash_file, write_json

if __name__ == "__main__":
    write_json(ASSETS / HASHES, {path.relative_to(ASSETS).as_posix(): hash_file(path) for path in asset_files()})
