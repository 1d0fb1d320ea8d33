"""Brings the dependencies of a package with pip or uv, from its lock file where it has one, as ../BUILDS.md says."""
import os
import re
import shutil
import subprocess
import sys

TARGET = "site-packages"  # one of the folders that the loader looks into
CACHE = os.environ.get("PETREL_CACHE", "")


def say(text):
    print(text, flush=True)


def run(*argv, **options):
    """Runs a tool whose output is the build's; its failure is the build's."""
    done = subprocess.run(argv, **options)
    if done.returncode != 0:
        sys.exit(done.returncode if done.returncode > 0 else 1)
    return done


def toml(path):
    try:
        import tomllib
    except ImportError:  # Python 3.10 and older
        from pip._vendor import tomli as tomllib
    with open(path, "rb") as file:
        return tomllib.load(file)


def has_pip():
    return subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0


def uv():
    """The command uv: the machine's, else one that pip brings into the cache."""
    found = shutil.which("uv")
    if found:
        return found
    home = os.path.join(CACHE or os.environ["TMPDIR"], "uv-tool")
    command = os.path.join(home, "bin", "uv")
    if not os.path.exists(command):
        say("this machine has no uv: bringing it with pip")
        run(*pip("install", "--target", home, "uv"))
    return command


def pip(*arguments):
    if not has_pip():
        sys.exit(
            "pip is not on this machine, and neither is uv. Install one: "
            "apt-get install python3-pip, or https://docs.astral.sh/uv"
        )
    cache = ["--cache-dir", os.path.join(CACHE, "pip")] if CACHE else ["--no-cache-dir"]
    return [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *cache, *arguments]


def install(*what):
    """Into the package; hashes are checked where they are given."""
    if shutil.which("uv") and not has_pip():
        cache = ["--cache-dir", os.path.join(CACHE, "uv")] if CACHE else ["--no-cache"]
        run("uv", "pip", "install", "--python", sys.executable, "--target", TARGET, *cache, *what)
    else:
        run(*pip("install", "--target", TARGET, "--no-warn-script-location", "--progress-bar", "off", *what))


def temporary(name, text):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def from_uv_lock():
    cache = ["--cache-dir", os.path.join(CACHE, "uv")] if CACHE else []
    path = temporary("uv-requirements.txt", "")
    run(uv(), "export", *cache, "--python", sys.executable, "--locked", "--no-dev", "--no-emit-project",
        "--format", "requirements-txt", "--output-file", path, "--quiet")
    install("--no-deps", "-r", path)


def from_poetry_lock():
    """What Poetry has locked for the main group, with its hashes: what `poetry export` writes."""
    lines = []
    for package in toml("poetry.lock").get("package", []):
        groups = package.get("groups", [package.get("category", "main")])
        if "main" not in groups or package.get("optional"):
            continue
        if package.get("source", {}).get("type") in ("git", "directory", "file", "url"):
            sys.exit(f"{package['name']} in poetry.lock does not come from a registry: write a requirements.txt")
        marker = package.get("markers")
        if isinstance(marker, dict):
            marker = marker.get("main")
        line = f"{package['name']}=={package['version']}" + (f" ; {marker}" if marker else "")
        hashes = "".join(f" \\\n    --hash={file['hash']}" for file in package.get("files", []))
        lines.append(line + hashes)
    if lines:
        install("--no-deps", "-r", temporary("poetry-requirements.txt", "\n".join(lines) + "\n"))


def from_pyproject():
    """What the project asks for; the project itself is the package."""
    wanted = toml("pyproject.toml").get("project", {}).get("dependencies", [])
    if not wanted:
        return
    say("there is no lock file: versions are chosen now (uv lock writes uv.lock, which pins them)")
    install("-r", temporary("pyproject-requirements.txt", "\n".join(wanted) + "\n"))


def from_requirements():
    with open("requirements.txt", encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    if any(line and not line.startswith("#") for line in lines):
        install("-r", "requirements.txt")


#: The first file that is there decides.
SOURCES = (
    ("uv.lock", from_uv_lock),
    ("poetry.lock", from_poetry_lock),
    ("requirements.txt", from_requirements),
    ("pyproject.toml", from_pyproject),
)


def main():
    for name, bring in SOURCES:
        if os.path.exists(name):
            bring()
            break
    # Bytecode is written where the package runs, for the Python that runs it; times in it would make each build another package.
    for root, folders, _ in os.walk(TARGET):
        for folder in [one for one in folders if one == "__pycache__"]:
            shutil.rmtree(os.path.join(root, folder))
            folders.remove(folder)
    normalise()


def normalise():
    """Takes out what differs from build to build: where pip found a file, and scripts with the path of this Python."""
    shutil.rmtree(os.path.join(TARGET, "bin"), ignore_errors=True)
    if not os.path.isdir(TARGET):
        return
    for folder in os.listdir(TARGET):
        record = os.path.join(TARGET, folder, "RECORD")
        if not folder.endswith(".dist-info") or not os.path.exists(record):
            continue
        with open(record, encoding="utf-8") as file:
            kept = [line for line in file if not re.search(r"__pycache__/|^(\.\./)*bin/|^\.\./", line)]
        with open(record, "w", encoding="utf-8") as file:
            file.writelines(sorted(kept))


main()
