#!/bin/sh
# What fwproof needs of this Linux computer, in one folder: the packet filter, VPN configurations, addresses, routes, kernel settings, and what
# listens. Usage: sh collect.sh [FOLDER]
#
# It changes nothing and sends nothing. As root it sees everything; otherwise the manifest says what could not be seen.
# It takes no secret: private keys, pre-shared keys and passwords are cut out before anything is written, and ipsec.secrets is not opened.
set -u
umask 077
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL PATH

root=${FWPROOF_ROOT:-} # where /etc is looked for
host=$(uname -n | cut -d . -f 1 | tr -cd 'A-Za-z0-9_-')
folder=${1:-$host-$(date -u +%Y%m%dT%H%M%SZ)}
elevated=no
[ "$(id -u)" -eq 0 ] && elevated=yes

mkdir -- "$folder" || exit 1
cd -- "$folder" || exit 1
: >.none # for commands that read or complain
echo "Collecting packet filter, VPN configurations (without keys), addresses, routes and listening services into $folder ..." >&2
{
  echo "# Written by fwproof collect. Taken $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "# Per command: what came of it, what it shows, exit code, SHA-256, file, command"
  echo "fwproof-collected: 1"
  echo "host: $host"
  echo "system: $(uname -s -r -m), $(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' "$root/etc/os-release" 2>.err)"
  echo "time: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "elevated: $elevated"
} >manifest.txt

# keep WHAT FILE CODE COMMAND: what a command wrote becomes a file, if it is anything.
keep() {
  if [ "$3" -ne 0 ]; then
    echo "failed $1 $3 - - $4" >>manifest.txt
  elif ! grep -q '[^[:space:]]' .part; then
    echo "nothing $1 0 - - $4" >>manifest.txt
  else
    case $2 in */*) mkdir -p "${2%/*}" ;; esac
    mv .part "$2"
    echo "got $1 0 $(sha256sum "$2" | cut -d ' ' -f 1) $2 $4" >>manifest.txt
  fi
  rm -f .part
}

# run WHAT FILE COMMAND...
run() {
  what=$1 file=$2
  shift 2
  if ! command -v "$1" >.err; then
    echo "absent $what - - - $*" >>manifest.txt
    return
  fi
  code=0
  "$@" >.part 2>.err <.none || code=$?
  keep "$what" "$file" "$code" "$*"
}

# copy KIND SUBFOLDER FILE...: VPN configurations, each through the filter that cuts its secrets out.
copy() {
  kind=$1 into=$2
  shift 2
  for path in "$@"; do
    [ -e "$path" ] || continue
    name=$(basename "$path" | tr -c 'A-Za-z0-9._\n-' '_')
    code=0
    if [ -r "$path" ]; then "cut_$kind" <"$path" >.part || code=$?; else code=13; fi
    # A file of another sort, such as a wireless network.
    [ "$kind" = networkmanager ] && [ "$code" -eq 0 ] && ! grep -Eq '^type=(vpn|wireguard)$' .part && continue
    keep vpn "$into$name" "$code" "$kind ${path#"$root"}"
  done
}

# unreadable FOLDER: it is there, and nobody but root may look into it.
unreadable() {
  if [ -d "$root$1" ] && ! ls "$root$1" >.err 2>&1; then echo "failed vpn 13 - - ls $1" >>manifest.txt; fi
}

cut_wireguard() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $(printf '%s' "$line" | tr '[:upper:]' '[:lower:]' | tr -d ' \t_-') in
      privatekey=*)
        # The public key, which is no secret, tells whose end this is.
        key=$(printf '%s' "$line" | sed 's/^[^=]*=[[:space:]]*//; s/[[:space:]#].*$//')
        public=$(printf '%s\n' "$key" | wg pubkey 2>.err)
        printf '%s\n' "PrivateKey = (removed)${public:+ # PublicKey = $public}"
        ;;
      presharedkey=*) printf '%s\n' 'PresharedKey = (removed)' ;;
      *privatekey* | *presharedkey* | *private-key* | *preshared-key* | *psk*) printf '%s\n' '# (removed)' ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}

cut_openvpn() {
  awk '
    /^[ \t]*<(key|tls-auth|tls-crypt|tls-crypt-v2|secret|pkcs12|auth-user-pass|http-proxy-user-pass|auth-gen-token-secret)>/ { print; print "# (removed)"; cut = 1; next }
    cut && /^[ \t]*<\// { cut = 0 }
    cut { next }
    /-----BEGIN .*(PRIVATE KEY|Static key|tls-crypt)/ { print "# (removed)"; pem = 1 }
    pem { if (/-----END /) pem = 0; next }
    { print }'
}

cut_networkmanager() {
  awk -F = '
    { key = tolower($1) }
    NF > 1 && key !~ /flags$/ && key ~ /psk|password|passphrase|secret|private-key|pin$|wep-key|token|cookie/ { print $1 "=(removed)"; next }
    { print }'
}

cut_ipsec() {
  awk -F = '
    tolower($1) ~ /secret|password|pin/ && NF > 1 { print $1 "= (removed)"; next }
    { print }'
}

cut_anyconnect() { cat; }

# The packet filter as the kernel has it. What iptables put into nftables is left to iptables-save, which says it in full.
run filter iptables-save.txt iptables-save
run filter ip6tables-save.txt ip6tables-save
nft_ruleset() {
  nft list ruleset >.whole || return
  awk '
    /^# Warning: table .* is managed by iptables-nft/ { skip = 1 }
    !skip { print }
    skip && /^}/ { skip = 0 }' .whole
}
if command -v nft >.err; then
  code=0
  nft_ruleset >.part 2>.err || code=$?
  rm -f .whole
  keep filter nftables.txt "$code" "nft list ruleset"
else
  echo "absent filter - - - nft list ruleset" >>manifest.txt
fi
grep -Eq '^(got|nothing) filter' manifest.txt || run filter firewalld.txt firewall-cmd --list-all-zones

copy wireguard wireguard/ "$root"/etc/wireguard/*.conf
copy openvpn openvpn/ "$root"/etc/openvpn/*.conf "$root"/etc/openvpn/client/*.conf "$root"/etc/openvpn/server/*.conf
copy networkmanager '' "$root"/etc/NetworkManager/system-connections/*
copy ipsec '' "$root"/etc/ipsec.conf "$root"/etc/swanctl/swanctl.conf "$root"/etc/swanctl/conf.d/*.conf
copy anyconnect '' "$root"/opt/cisco/anyconnect/profile/*.xml "$root"/opt/cisco/secureclient/vpn/profile/*.xml
for folder_of in /etc/wireguard /etc/openvpn/client /etc/openvpn/server /etc/NetworkManager/system-connections; do unreadable "$folder_of"; done
# Interfaces that were set up by hand. `wg show` hides the keys.
for interface in $(wg show interfaces 2>.err); do
  [ -e "wireguard/$interface.conf" ] || run vpn "wireguard-$interface.txt" wg show "$interface"
done

run network ip-addr.txt ip addr
run network ip-route.txt ip route show table all
run network ip-6-route.txt ip -6 route show table all
run network ip-rule.txt ip rule
run network ip-6-rule.txt ip -6 rule
kernel() { sysctl -a 2>.err | grep -E '^net\.ipv[46]\.(ip_forward|tcp_syncookies|icmp_[a-z_]*|conf\.)' | grep -v secret; }
kernel >.part
keep network sysctl.txt 0 "sysctl -a"
run listening listening.txt ss -lntu
rm -f .none .err

echo "Done. Look at $folder/manifest.txt, then hand the folder in." >&2
