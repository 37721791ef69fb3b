#!/bin/sh
# What fwproof needs of this Mac, in one folder: the application firewall, pf, VPN configurations and profiles, addresses, routes, and what listens.
# Usage: sh collect.sh [FOLDER]
#
# It changes nothing and sends nothing. With sudo it sees everything; otherwise the manifest says what could not be seen (pf and profiles).
# It takes no secret: private keys, shared secrets, passwords and certificates are cut out before anything is written.
set -u
umask 077
LC_ALL=C
PATH=/usr/bin:/bin:/usr/sbin:/sbin:/opt/homebrew/bin:/usr/local/bin
export LC_ALL PATH

host=$(scutil --get LocalHostName 2>/dev/null || uname -n | cut -d . -f 1)
host=$(printf '%s' "$host" | tr -cd 'A-Za-z0-9_-')
folder=${1:-$host-$(date -u +%Y%m%dT%H%M%SZ)}
elevated=no
[ "$(id -u)" -eq 0 ] && elevated=yes

mkdir -- "$folder" || exit 1
cd -- "$folder" || exit 1
echo "Collecting firewall settings, VPN configurations (without keys), addresses, routes and listening services into $folder ..." >&2
{
  echo "# Written by fwproof collect. Taken $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "# Per command: what came of it, what it shows, exit code, SHA-256, file, command"
  echo "fwproof-collected: 1"
  echo "host: $host"
  echo "system: macOS $(sw_vers -productVersion) ($(sw_vers -buildVersion))"
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
    echo "got $1 0 $(shasum -a 256 "$2" | cut -d ' ' -f 1) $2 $4" >>manifest.txt
  fi
  rm -f .part
}

# run WHAT FILE COMMAND...
run() {
  what=$1 file=$2
  shift 2
  if ! command -v "$1" >/dev/null; then
    echo "absent $what - - - $*" >>manifest.txt
    return
  fi
  code=0
  "$@" >.part 2>/dev/null </dev/null || code=$?
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
    keep vpn "$into$name" "$code" "$kind $name"
  done
}

cut_wireguard() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $(printf '%s' "$line" | tr '[:upper:]' '[:lower:]' | tr -d ' \t_-') in
      privatekey=*)
        # The public key, which is no secret, tells whose end this is.
        key=$(printf '%s' "$line" | sed 's/^[^=]*=[[:space:]]*//; s/[[:space:]#].*$//')
        public=$(printf '%s\n' "$key" | wg pubkey 2>/dev/null)
        printf '%s\n' "PrivateKey = (removed)${public:+ # PublicKey = $public}"
        ;;
      presharedkey=*) printf '%s\n' 'PresharedKey = (removed)' ;;
      *privatekey* | *presharedkey* | *psk*) printf '%s\n' '# (removed)' ;;
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

cut_anyconnect() { cat; }

# Property lists: what a key of a secret's name holds, and all data (certificates with their keys), is left out.
cut_plist() {
  awk '
    data { if (/<\/data>/) { sub(/^.*<\/data>/, "</data>"); print; data = 0 } next }
    secret && /<string>/ { print "<string>(removed)</string>"; if (/<\/string>/) secret = 0; else long = 1; next }
    long { if (/<\/string>/) long = secret = 0; next }
    /<data>/ && !/<\/data>/ { sub(/<data>.*$/, "<data>"); print; data = 1; next }
    /<data>.*<\/data>/ { gsub(/<data>[^<]*<\/data>/, "<data></data>") }
    { lower = tolower($0) }
    lower ~ /<key>.*(password|passcode|sharedsecret|passphrase|privatekey|pin|token|cookie)<\/key>/ { secret = 1 }
    lower ~ /<key>/ && lower !~ /(password|passcode|sharedsecret|passphrase|privatekey|pin|token|cookie)<\/key>/ { secret = 0 }
    { print }'
}

application_firewall() {
  tool=/usr/libexec/ApplicationFirewall/socketfilterfw
  "$tool" --getglobalstate || return
  for question in --getblockall --getallowsigned --getstealthmode --getloggingmode; do "$tool" "$question" || true; done
  "$tool" --listapps
}
run filter socketfilterfw.txt application_firewall
# pf as the kernel has it; only root may ask.
packet_filter() {
  pfctl -s info >.info || return
  grep '^Status:' .info
  echo "TRANSLATION RULES:" && pfctl -a '*' -sn
  echo "FILTER RULES:" && pfctl -a '*' -sr && pfctl -vs Interfaces
}
code=0
packet_filter >.part 2>/dev/null || code=$?
if grep -q '^Status: Disabled' .part; then : >.part; fi # it filters nothing
rm -f .info
keep filter pf.txt "$code" "pfctl -sn -sr"

profiles_list() { profiles show -type configuration -output stdout-xml | cut_plist; }
if [ "$elevated" = yes ]; then
  profiles_list >.part 2>/dev/null
  # Only profiles that fwproof reads: firewalls and VPNs.
  grep -Eq 'com\.apple\.(security\.firewall|vpn\.managed)' .part || : >.part
  keep vpn profiles.plist 0 "profiles show -type configuration"
else
  echo "failed vpn 1 - - profiles show -type configuration" >>manifest.txt
fi
copy wireguard wireguard/ /etc/wireguard/*.conf /usr/local/etc/wireguard/*.conf /opt/homebrew/etc/wireguard/*.conf
copy openvpn openvpn/ /etc/openvpn/*.conf "$HOME"/Library/Application\ Support/Tunnelblick/Configurations/*.tblk/Contents/Resources/config.ovpn
copy anyconnect '' /opt/cisco/anyconnect/profile/*.xml /opt/cisco/secureclient/vpn/profile/*.xml
settings=/Library/Preferences/com.paloaltonetworks.GlobalProtect.settings.plist
if [ -r "$settings" ]; then
  code=0
  plutil -convert xml1 -o - "$settings" 2>/dev/null | cut_plist >.part || code=$?
  keep vpn globalprotect.plist "$code" "plutil -convert xml1 com.paloaltonetworks.GlobalProtect.settings.plist"
fi
# Without any of these: at least which VPNs there are.
grep -q '^got vpn' manifest.txt || run vpn services.txt scutil --nc list

run network ifconfig.txt ifconfig -a
run network routes.txt netstat -rn
listening() { netstat -an | grep -E '^Proto|LISTEN|^udp'; }
run listening listening.txt listening

echo "Done. Look at $folder/manifest.txt, then hand the folder in." >&2
