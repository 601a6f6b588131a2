"""An upload as a Python program does it: `by_paramiko.py PORT USER KEY WAY SOURCE TARGET`.

WAY is plain, rename (SSH_FXP_RENAME, which OpenSSH does by link and unlink) or posix_rename; with `+` after it the upload
goes on where an earlier one broke off.
"""

import sys

import paramiko

BLOCK = 32_768


def upload(sftp: paramiko.SFTPClient, way: str, source: str, target: str) -> None:
    resumed, way = way.endswith("+"), way.removesuffix("+")
    name = target if way == "plain" else f"{target}.part"
    with open(source, "rb") as content, sftp.open(name, "ab" if resumed else "wb") as file:  # noqa: PTH123
        if resumed:
            content.seek(file.stat().st_size or 0)
        while block := content.read(BLOCK):
            file.write(block)
    if way == "rename":
        sftp.rename(name, target)
    elif way == "posix_rename":
        sftp.posix_rename(name, target)


def main() -> None:
    port, user, key, *rest = sys.argv[1:]
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", int(port), user, key_filename=key, look_for_keys=False, allow_agent=False)
        upload(client.open_sftp(), *rest)


if __name__ == "__main__":
    main()
