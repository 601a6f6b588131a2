#!/usr/bin/env bash
# Installs Stock GRIP Live on Debian or Ubuntu, or brings it up to date. docs/install.md tells what it does.
set -Eeuo pipefail
trap 'echo "install.sh: line $LINENO failed: $BASH_COMMAND" >&2' ERR

usage() {
  cat <<'TEXT'
usage: install.sh [OPTION]...
Installs Stock GRIP Live on Debian or Ubuntu, or brings it up to date: run it again with a newer checkout.
If the new release does not become ready, the one before is put back.

  --dry-run        only say what would be done
  --wheels DIR     take the packages from DIR, which deploy/wheels.sh has filled: needs no network
  --rollback       go back to the release before this one
  --ready-seconds N  how long a new release may take to become ready (default 600)
  --no-start       put everything in place, and start nothing
  --no-sshd        leave sshd's configuration alone
  --no-apt         install no Debian packages: complain if one is missing
  --uninstall      remove the program; data, configuration and accounts stay
  --purge          with --uninstall: remove these, too. Nothing of them is left
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly base=/opt/stockgrip etc=/etc/stockgrip home=/var/lib/stockgrip
readonly unit=stockgrip.service sshd_config=/etc/ssh/sshd_config.d/50-stockgrip.conf
readonly keys=/etc/ssh/stockgrip-senders log_mount=var-lib-stockgrip-dev-log.mount
readonly units=("$unit" stockgrip-failed@.service "$log_mount")
readonly optional=(stockgrip-workflow.timer stockgrip-workflow.service stockgrip-litestream.service) # if the operator put them there
python=${PYTHON:-/usr/bin/python3}

# Where the parts lie that a Debian package brings by itself; --package (for its scripts only) leaves them alone.
unit_dir=/etc/systemd/system users=/etc/sysusers.d/stockgrip.conf folders=/etc/tmpfiles.d/stockgrip.conf
wrapper=/usr/local/bin/stockgrip document=/usr/local/share/doc/stockgrip/install.md

written=()
dry='' wheels='' action=install purge='' start=yes sshd=yes apt=yes package='' ready_seconds=600

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

# Does something, or says that it would be done.
run() {
  if [ -n "$dry" ]; then
    say "would run: $*"
  else
    "$@"
  fi
}

# put SOURCE TARGET [MODE [GROUP]]: a file of root's, written only if it is not so already.
put() {
  if [ -f "$2" ] && cmp -s "$1" "$2"; then
    return 0
  fi
  if [ -n "$dry" ]; then
    say "would write: $2"
  else
    install -D -o root -g "${4:-root}" -m "${3:-0644}" "$1" "$2"
    say "wrote $2"
    written+=("$2")
  fi
}

drop() {
  local path
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      run rm -rf -- "$path"
    fi
  done
}

systemd_runs() { [ -d /run/systemd/system ]; }
is_active() { systemd_runs && systemctl is-active --quiet "$unit"; }
current() { [ ! -L "$base/$1" ] || basename "$(readlink "$base/$1")"; }


# ---- what the host needs

needs() {
  local missing=() name
  for name in python3 python3-venv python3-systemd util-linux; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || missing+=("$name")
  done
  if [ ${#missing[@]} = 0 ]; then
    :
  elif [ -z "$apt" ] || ! command -v apt-get >/dev/null; then
    die "these packages are missing: ${missing[*]}; install them (apt-get install ${missing[*]})"
  else
    run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
  fi
  if [ -x "$python" ] && ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    die "$python is $("$python" -V 2>&1), 3.11 or newer is needed: Debian 12 or newer, Ubuntu 24.04 or newer"
  fi
}

check_wheels() {
  if [ ! -f "$1/RELEASE" ] || [ ! -f "$1/SHA256SUMS" ]; then
    die "$1 has no RELEASE or no SHA256SUMS: fill it with deploy/wheels.sh $1"
  fi
  (cd "$1" && sha256sum --quiet --check SHA256SUMS >&2) || die "$1 is damaged: fill it again with deploy/wheels.sh $1"
  local wanted found
  wanted=$(cat "$1/PYTHON")
  found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  [ "$wanted" = "$found" ] ||
    die "the wheels in $1 are for Python $wanted, this host has $found: fill it on a host with $found"
}

# ---- one release: a venv of its own, and the files of deploy/ that belong to it

# build_release ID: puts it below releases/ unless it is there and works.
build_release() {
  local id=$1 place=$base/releases/$1 from=$wheels scratch=''
  if [ -f "$place/.complete" ] && "$place/bin/python" -c 'import daemon, systemd.daemon' 2>/dev/null; then
    say "release $id is built"
    return
  fi
  if [ -n "$dry" ]; then
    say "would build: $place"
    return
  fi
  if [ -z "$from" ]; then
    scratch=$(mktemp -d)
    from=$scratch
    PYTHON=$python "$here/wheels.sh" "$from"
  fi
  check_wheels "$from"
  rm -rf "$place"
  install -d -m 0755 "$base" "$base/releases"
  (
    umask 022
    "$python" -m venv "$place"
    PIP_CONFIG_FILE=/dev/null "$place/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps \
      "$from"/*.whl
    # Debian's own build, for the same Python: no compiler is needed on the server.
    "$place/bin/python" -c 'import systemd.daemon' 2>/dev/null ||
      ln -s "$("$python" -c 'import systemd; print(systemd.__path__[0])')" \
        "$("$place/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/systemd"
    "$place/bin/python" -c 'import daemon.service, systemd.daemon'
    mkdir "$place/deploy"
    install -m 0644 "${units[@]/#/$here/}" "$here"/{sysusers,tmpfiles,sshd}.conf "$here/config.yaml" "$place/deploy/"
    install -m 0755 "$here/stockgrip" "$here/install.sh" "$place/deploy/"
    install -m 0644 "$(document_source)" "$place/deploy/install.md"
    touch "$place/.complete"
  )
  [ -z "$scratch" ] || rm -rf "$scratch"
  say "release $id is built"
}

document_source() {
  if [ -f "$here/install.md" ]; then echo "$here/install.md"; else echo "$here/../docs/install.md"; fi
}

# ---- what surrounds it

# host_files DIR: users, folders, configuration, units, sshd, as the release in DIR has them.
host_files() {
  local from=$1 name
  if [ -z "$package" ]; then
    put "$from/sysusers.conf" "$users"
    put "$from/tmpfiles.conf" "$folders"
    put "$from/stockgrip" "$wrapper" 0755
    put "$from/install.md" "$document"
    for name in "${units[@]}"; do
      put "$from/$name" "$unit_dir/$name"
    done
  fi
  run systemd-sysusers "$users"
  run systemd-tmpfiles --create "$folders"
  [ -d "$etc" ] || run install -d -m 0755 "$etc"
  [ -d "$etc/credentials" ] || run install -d -o root -g stockgrip -m 0750 "$etc/credentials"
  if [ -n "$package" ]; then
    chgrp stockgrip "$etc/config.yaml" && chmod 0640 "$etc/config.yaml"
  elif [ ! -e "$etc/config.yaml" ]; then
    put "$from/config.yaml" "$etc/config.yaml" 0640 stockgrip
  fi
  if [ -n "$sshd" ]; then
    sshd_files "$from"
  fi
  if systemd_runs; then
    run systemctl daemon-reload
  fi
  run systemctl --quiet enable "$unit"
}

# An error in sshd's configuration could lock everybody out: it is checked first, and taken back if there is one.
sshd_files() {
  local before='' said
  if ! command -v sshd >/dev/null && [ ! -x /usr/sbin/sshd ]; then
    say "no sshd here: senders' accounts are left out (install openssh-server, then run this again)"
    return
  fi
  if cmp -s "$1/sshd.conf" "$sshd_config"; then
    return
  fi
  if [ -n "$dry" ]; then
    say "would write: $sshd_config"
    say "would run: sshd -t, and take it back if it complains; systemctl reload ssh"
    return
  fi
  if ! grep -Eiq '^\s*Include\s+/etc/ssh/sshd_config\.d/\*\.conf' /etc/ssh/sshd_config; then
    warn "/etc/ssh/sshd_config does not include sshd_config.d/*.conf: senders' accounts are not confined until it does"
  fi
  [ ! -f "$sshd_config" ] || before=$(cat "$sshd_config")
  put "$1/sshd.conf" "$sshd_config"
  [ -d "$keys" ] || install -d -m 0755 "$keys"
  [ -d /run/sshd ] || install -d -m 0755 /run/sshd
  if ! said=$(/usr/sbin/sshd -t 2>&1); then
    if [ -n "$before" ]; then printf '%s\n' "$before" >"$sshd_config"; else rm -f "$sshd_config"; fi
    warn "sshd -t complains, so $sshd_config was taken back; sshd goes on as before: $said"
    return
  fi
  # internal-sftp logs from within the chroot: the journal's socket is mounted on this file
  [ -e "$home/dev/log" ] || install -m 0666 /dev/null "$home/dev/log"
  if systemd_runs; then
    if systemctl is-active --quiet ssh.service; then
      systemctl reload ssh.service
    fi
    systemctl daemon-reload
    systemctl --quiet enable --now "$log_mount" || warn "$log_mount did not start: sftp's log lines will be missing"
  else
    systemctl --quiet enable "$log_mount"
  fi
}

# ---- changing over

head_of() { "$base/releases/$1/bin/python" -c 'from daemon.store.migrate import HEAD; print(HEAD)'; }
# Points `current` to a release, in one step.
point() {
  ln -sfn "releases/$2" "$base/$1.new"
  mv -T "$base/$1.new" "$base/$1"
}

# Starts the service, and waits until the program says that it is ready.
start_and_wait() {
  local left=$ready_seconds state restarts
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl start --no-block "$unit"
  while [ "$left" -gt 0 ]; do
    sleep 1
    left=$((left - 1))
    state=$(systemctl show -P ActiveState "$unit")
    restarts=$(systemctl show -P NRestarts "$unit")
    case $state in
      active) return 0 ;;
      failed | inactive) return 1 ;;
    esac
    if [ "$restarts" -ge 3 ] 2>/dev/null; then
      return 1
    fi
  done
  return 1
}

# change_to ID: stops the service, exchanges the release, starts it, and takes all of it back if it does not become ready.
change_to() {
  local new=$1 old begun
  old=$(current current)
  if [ -n "$dry" ]; then
    if [ "$old" = "$new" ]; then say "release $new is in use"; else say "would change to release $new, from ${old:-nothing}"; fi
    host_files "$here"
    return
  fi
  if [ -z "$start" ] || ! systemd_runs; then
    [ -z "$old" ] || [ "$old" = "$new" ] || point previous "$old"
    point current "$new"
    host_files "$base/releases/$new/deploy"
    say "release $new is in place; start it: systemctl restart stockgrip"
    return
  fi
  if [ -z "$old" ] || [ "$old" = "$new" ]; then
    point current "$new"
    host_files "$base/releases/$new/deploy"
    if is_active && [[ " ${written[*]} " != *"/$unit "* ]]; then
      say "release $new is in use, and runs"
      return
    fi
    systemctl stop "$unit"
    start_and_wait || failed_to_start
    say "release $new runs"
    return
  fi
  if [[ "$(head_of "$new")" < "$(head_of "$old")" ]]; then
    die "release $new cannot read the tables, which $old has changed: docs/install.md says how to go back with a backup; nothing was changed"
  fi
  say "stopping release $old: the delivery in hand is finished first"
  systemctl stop "$unit"
  begun=$(date -u +%Y-%m-%dT%H:%M:%S)
  point current "$new"
  host_files "$base/releases/$new/deploy"
  if start_and_wait; then
    point previous "$old"
    forget_old "$new" "$old"
    say "release $new runs; the one before was $old"
    return
  fi
  journalctl -u "$unit" -n 15 --no-pager -o cat >&2 || true
  warn "release $new did not become ready: going back to $old"
  systemctl stop "$unit" || true
  point current "$old"
  host_files "$base/releases/$old/deploy"
  put_tables_back "$old" "$begun"
  start_and_wait || failed_to_start
  die "release $old runs again; $new stays in $base/releases/$new for a look"
}

# put_tables_back RELEASE TIME: if the newer release has changed the tables, the backup that it made just before is
# restored, and files that it has loaded since are delivered again: nothing is lost.
put_tables_back() {
  local code=0 file
  "$here/stockgrip" status >/dev/null 2>&1 || code=$?
  if [ "$code" != 78 ]; then # 78: the tables are of a newer release
    return
  fi
  file=$("$here/stockgrip" backup --list --json | "$python" -c '
import json, sys
head, begun = sys.argv[1:]
found = [each for each in json.load(sys.stdin) if each["revision"] == head and each["taken_at"] >= begun]
print(max(found, key=lambda each: each["taken_at"])["file"] if found else "")' "$(head_of "$1")" "$2")
  if [ -z "$file" ]; then
    die "the tables were changed and there is no backup of them (is backup.before_migration false?): release $1 cannot read them, nothing runs now. Restore a backup (stockgrip restore), or start the newer release (docs/install.md)"
  fi
  say "the tables were changed: going back to $file"
  "$here/stockgrip" restore "$file" --redeliver --yes
}

failed_to_start() {
  journalctl -u "$unit" -n 15 --no-pager -o cat >&2 || true
  die "the service did not become ready: systemctl status stockgrip; journalctl -u stockgrip"
}

# Keeps this release and the one before.
forget_old() {
  local place
  for place in "$base"/releases/*; do
    case ${place##*/} in "$1" | "$2") ;; *) rm -rf -- "$place" ;; esac
  done
}

# ---- the three things that can be asked for

install_it() {
  local id
  if [ -z "$package" ] && dpkg-query -W -f '${db:Status-Abbrev}' stockgrip-live 2>/dev/null | grep -q '^i'; then
    die "the Debian package stockgrip-live is installed here: bring that up to date, or remove it first"
  fi
  needs
  if [ -n "$wheels" ]; then
    check_wheels "$wheels"
    id=$(cat "$wheels/RELEASE")
  else
    id=$("$here/wheels.sh" --id)
  fi
  build_release "$id"
  change_to "$id"
}

roll_back() {
  local id
  id=$(current previous)
  if [ -z "$id" ] || [ ! -f "$base/releases/$id/.complete" ]; then
    die "there is no release before this one in $base/releases"
  fi
  change_to "$id"
}

uninstall() {
  local name
  for name in "${optional[@]}"; do
    [ ! -e "/etc/systemd/system/$name" ] || run systemctl --quiet disable --now "$name"
  done
  for name in "$unit" "$log_mount"; do
    [ ! -e "$unit_dir/$name" ] || run systemctl --quiet disable "$name"
  done
  if systemd_runs; then
    say "stopping the service: the delivery in hand is finished first"
    run systemctl stop "$unit" "$log_mount" || true
  fi
  if [ -e "$sshd_config" ]; then
    # without its confinement an account of a sender would be an ordinary one
    if [ -n "$(members)" ]; then
      warn "accounts of senders stay, and would be ordinary ones without $sshd_config, so that stays too: $(members); remove the accounts (userdel), then this file"
    else
      drop "$sshd_config" "$keys"
      if systemd_runs && systemctl is-active --quiet ssh.service; then
        run systemctl reload ssh.service
      fi
    fi
  fi
  if [ -z "$package" ]; then
    drop "${units[@]/#/$unit_dir/}" "$users" "$folders" "$wrapper" "$(dirname "$document")"
  fi
  drop "$base"
  if systemd_runs; then
    run systemctl daemon-reload
    run systemctl reset-failed "$unit" 2>/dev/null || true
  fi
  if [ -z "$purge" ]; then
    say "the program is removed; $home, $etc and the user stockgrip stay"
    return
  fi
  drop "$etc" "$home" "${optional[@]/#//etc/systemd/system/}"
  if getent passwd stockgrip >/dev/null; then
    run userdel stockgrip
  fi
  if [ -z "$(members)" ] && getent group stockgrip-senders >/dev/null; then
    run groupdel stockgrip-senders
  fi
  say "the program, its data and its configuration are removed"
}

# Accounts of senders, in the group by its list or as their own group.
members() {
  local number
  number=$(getent group stockgrip-senders | cut -d : -f 3)
  [ -n "$number" ] || return 0
  {
    getent group stockgrip-senders | cut -d : -f 4 | tr , '\n'
    getent passwd | awk -F : -v number="$number" '$4 == number { print $1 }'
  } | grep -vx -e stockgrip -e '' | sort -u | paste -s -d ' '
}

while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry=yes ;;
    --wheels)
      [ -d "${2:-}" ] || die "--wheels needs a folder that is there; got: ${2:-nothing}"
      wheels=$(cd "$2" && pwd)
      shift
      ;;
    --rollback) action=rollback ;;
    --ready-seconds)
      [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || die "--ready-seconds needs a number of seconds; got: ${2:-nothing}"
      ready_seconds=$2
      shift
      ;;
    --no-start) start='' ;;
    --no-sshd) sshd='' ;;
    --no-apt) apt='' ;;
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    --package) package=yes apt='' ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      die "unknown option: $1"
      ;;
  esac
  shift
done
if [ -n "$purge" ] && [ "$action" != uninstall ]; then
  die "--purge goes with --uninstall only"
fi
if [ -n "$package" ]; then
  unit_dir=/usr/lib/systemd/system users=/usr/lib/sysusers.d/stockgrip.conf folders=/usr/lib/tmpfiles.d/stockgrip.conf
fi
cd /
if [ -z "$dry" ]; then
  [ "$(id -u)" = 0 ] || die "must be run by root: sudo deploy/install.sh (--dry-run needs no root)"
  exec 9>/run/stockgrip-install.lock
  flock -n 9 || die "another install.sh is at work"
fi
case $action in
  install) install_it ;;
  rollback) roll_back ;;
  uninstall) uninstall ;;
esac
