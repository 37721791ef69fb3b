//! Secrets stay inside: marked ones stand wherever a secret may stand, every command is run on them, and no output may hold a part of a mark.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a mark that in a row are a leak.
const PART: usize = 8;

/// Marks of one run.
#[derive(Default)]
struct Marks(Vec<String>);

impl Marks {
    /// A word that is a secret.
    fn word(&mut self, name: &str) -> String {
        let word = format!("CANARY-{}-{:08x}", name.replace(' ', "-"), fnv(name));
        self.0.push(word.clone());
        word
    }

    /// A WireGuard key: 32 bytes in Base64, marked by its own text.
    fn key(&mut self, name: &str) -> String {
        let mut bytes: Vec<u8> = (0u32..8).flat_map(|i| fnv(&format!("{name} {i}")).to_be_bytes()[..4].to_vec()).collect();
        bytes[0] &= 248;
        bytes[31] = (bytes[31] & 127) | 64;
        let key = STANDARD.encode(bytes);
        self.0.push(key.clone());
        key
    }

    /// Lines of Base64 as in a PEM body.
    fn body(&mut self, name: &str) -> String {
        let line =
            |i: u32| STANDARD.encode((0..12u32).flat_map(|j| fnv(&format!("{name} {i} {j}")).to_be_bytes()).take(48).collect::<Vec<u8>>());
        let lines: Vec<String> = (0..3).map(line).collect();
        self.0.extend(lines.iter().cloned());
        lines.join("\n")
    }

    /// Lines of hexadecimal as in an OpenVPN static key.
    fn hex(&mut self, name: &str) -> String {
        let lines: Vec<String> =
            (0..4u32).map(|i| (0..4u32).map(|j| format!("{:08x}", fnv(&format!("{name} {i} {j}")))).collect()).collect();
        self.0.extend(lines.iter().cloned());
        lines.join("\n")
    }

    /// The first part of a mark that a text holds.
    fn leak(&self, text: &str) -> Option<(String, String)> {
        let parts = self.0.iter().flat_map(|mark| {
            // What all marks have in common is no secret.
            let own = mark.strip_prefix("CANARY-").unwrap_or(mark);
            let own = own.rsplit_once('-').map_or(own, |(_, hash)| hash);
            (0..=own.len().saturating_sub(PART)).map(move |i| (mark, &own[i..i + PART]))
        });
        parts.filter(|(_, part)| text.contains(part)).map(|(mark, part)| (mark.clone(), part.to_owned())).next()
    }
}

/// FNV-1a, so that marks look like nothing else.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

const PUBLIC: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

/// A folder with secrets in every format and position.
fn fixtures(root: &Path, m: &mut Marks) {
    write(
        root,
        "laptop/local.reg",
        &format!(
            "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\DomainProfile]\n\"EnableFirewall\"=dword:00000002\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\Phase1AuthenticationSets\\{{A}}\\0000]\n\"SHKey\"=\"{}\"\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon]\n\"DefaultPassword\"=\"{}\"\n",
            m.word("ipsec shared key"),
            m.word("winlogon password"),
        ),
    );
    write(
        root,
        "router/etc/config/network",
        &format!(
            "config interface 'lan'\n\toption proto 'static'\n\toption ipaddr '192.168.1.1/24'\nconfig interface 'wan'\n\toption proto 'pppoe'\n\toption username 'u'\n\toption password '{}'\nconfig interface 'wg0'\n\toption proto 'wireguard'\n\toption private_key '{}'\n\tlist addresses '10.0.0.1/24'\nconfig wireguard_wg0\n\toption public_key '{PUBLIC}'\n\toption preshared_key '{}'\n",
            m.word("openwrt pppoe"),
            m.key("openwrt private key"),
            m.key("openwrt preshared key"),
        ),
    );
    write(
        root,
        "shore/etc/shorewall/params",
        &format!(
            "ZONE=net\nMAIL_PASSWORD={}\nHOME=$(curl -u me:{} https://home.example)\n",
            m.word("shorewall params"),
            m.word("shorewall computed")
        ),
    );
    write(root, "shore/etc/shorewall/shorewall.conf", "STARTUP_ENABLED=Yes\n");
    write(root, "shore/etc/shorewall/zones", "fw firewall\nnet ipv4\n");
    write(root, "shore/etc/shorewall/interfaces", "?FORMAT 2\nnet eth0\n");
    write(root, "shore/etc/shorewall/policy", "all all DROP\n");
    write(
        root,
        "shore/etc/shorewall/rules",
        &format!("SHELL curl -u me:{} https://rules.example\nACCEPT net:$HOME fw\n", m.word("shorewall shell")),
    );
    write(root, "shore/etc/shorewall/started", &format!("curl -u me:{} https://up.example\n", m.word("shorewall script")));
    write(
        root,
        "gateway/wg0.conf",
        &format!(
            "# PrivateKey = {}\n[Interface]\nAddress = 10.9.0.1/24\nListenPort = 51820\nPrivateKey = {} # old: {}\n\
             PostUp = curl -u admin:{} https://vpn.example/up\nPostUp = echo {} | wg set wg0 private-key /dev/stdin\n\n\
             # ann {}\n[Peer]\nPublicKey = {PUBLIC}\nPresharedKey = {}\nAllowedIPs = 10.9.0.2/32\n\n[Peer]\nPublicKey = {PUBLIC}\nPreSharedKey={}\nAllowedIPs = 10.9.0.2/32\n",
            m.key("commented"),
            m.key("private"),
            m.key("behind"),
            m.word("curl"),
            m.key("hook"),
            m.key("name"),
            m.key("psk"),
            m.key("psk2"),
        ),
    );
    // The same private key on two devices, so that findings speak of it.
    let shared = m.key("shared");
    for who in ["ann", "bob"] {
        write(
            root,
            &format!("{who}/wg0.conf"),
            &format!(
                "[Interface]\nAddress = 10.9.0.2/32\nPrivateKey = {shared}\n\n[Peer]\nPublicKey = {PUBLIC}\nPresharedKey = {}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:51820\n",
                m.key("same psk")
            ),
        );
    }
    write(
        root,
        "broken-wg/wg0.conf",
        &format!(
            "[Interface]\nPrivateKey={}=\nPrivateKey {}\nPrivatKey = {}\nAddress = nonsense\n[Peer\nPresharedKey = {}\n[Peer]\nAllowedIPs = {}",
            m.key("long"),
            m.key("no equals"),
            m.key("misspelt"),
            m.key("open header"),
            m.key("wrong place")
        ),
    );
    let pem = |body: &str| format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
    write(
        root,
        "carl/home.ovpn",
        &format!(
            "client\ndev tun\nproto udp\nremote 192.0.2.1 1194\nauth-user-pass\ncipher BF-CBC\nsetenv PASSWORD {}\n\
             # password: {}\n<key>\n{}\n</key>\n<tls-auth>\n-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n</tls-auth>\n\
             <auth-user-pass>\ncarl\n{}\n</auth-user-pass>\n<pkcs12>\n{}\n</pkcs12>\n",
            m.word("setenv"),
            m.word("comment"),
            pem(&m.body("inline key")),
            m.hex("tls-auth"),
            m.word("userpass"),
            m.body("pkcs12"),
        ),
    );
    write(
        root,
        "pf-edge/pf.conf",
        &format!(
            "# password: {}\nset skip on lo0\nnat on em0 inet from 10.0.0.0/8 to any -> 192.0.2.0/28 source-hash {} sticky-address\n\
             nat on em1 inet from 10.0.0.0/8 to any -> 192.0.2.16/28 source-hash \"{}\"\nblock in all\npass in bogus proto tcp to port 22\n",
            m.word("pf comment"),
            m.word("source hash"),
            m.word("quoted hash"),
        ),
    );
    // Inline blocks that never end, and are not known.
    write(
        root,
        "dora/cut.ovpn",
        &format!(
            "client\ndev tun\nremote 192.0.2.1 1194\nnobind\npersist-key\n<key>\n{}",
            pem(&m.body("cut")).trim_end_matches("-----END PRIVATE KEY-----")
        ),
    );
    write(
        root,
        "emil/odd.ovpn",
        &format!(
            "client\ndev tun\nremote 192.0.2.1 1194\nnobind\npersist-key\n<secert>\n{}\n</secert>\naskpas {}\n",
            pem(&m.body("odd block")),
            m.word("askpas")
        ),
    );
    write(
        root,
        "static/server.conf",
        &format!(
            "dev tun\nifconfig 10.8.0.1 10.8.0.2\npersist-key\npersist-tun\n<secret>\n-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n</secret>\nmanagement 127.0.0.1 7505\n",
            m.hex("static")
        ),
    );
    write(
        root,
        "edge/ruleset.nft",
        &format!(
            "# password: {}\ntable inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 22 accept comment \"password={}\"\n\t\tpassword {}\n\t\tset secret {}\n\t}}\n}}\n",
            m.word("nft comment"),
            m.word("nft rule comment"),
            m.word("nft unknown"),
            m.word("nft unknown 2"),
        ),
    );
    write(
        root,
        "old/rules.v4",
        &format!(
            "# psk: {}\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -m comment --comment \"password: {}\" -j ACCEPT\n-A INPUT -p tcp -m string --string \"password={}\" --algo bm -j DROP\n-A INPUT --secret {} -j ACCEPT\nCOMMIT\nroot:$6$abcdefgh${}\n",
            m.word("v4 comment"),
            m.word("v4 rule comment"),
            m.word("v4 string"),
            m.word("v4 unknown"),
            m.word("v4 hash"),
        ),
    );
    write(
        root,
        "branch-fgt/fgt.conf",
        &format!(
            "#config-version=FGT60F-7.2.4-FW-build1396-230131:opmode=0:vdom=0:user=admin\n# psk: {}\nconfig system admin\n    edit \"admin\"\n        set password ENC {}\n    next\nend\n\
             config system interface\n    edit \"wan1\"\n        set mode pppoe\n        set username \"u\"\n        set password ENC {}\n        set allowaccess snmp telnet\n    next\nend\n\
             config system snmp user\n    edit \"u\"\n        set auth-pwd ENC {}\n    next\nend\n\
             config vpn certificate local\n    edit \"own\"\n        set private-key \"{}\"\n        set password {}\n    next\nend\n\
             config vpn ipsec phase1-interface\n    edit \"t\"\n        set interface wan1\n        set proposal 3des-md5\n        set psksecret \"{}\"\n    next\nend\n\
             config user radius\n    edit \"r\"\n        set server 192.0.2.9\n        set secret {}\n    next\nend\nset psksecret {}\nconfig nonsense\n    set passwd {}\nend\n\
             config firewall policy\n    edit 1\n        set srcintf wan1\n        set comments \"password={}\"\n",
            m.word("fgt comment"),
            m.word("fgt admin"),
            m.word("fgt pppoe"),
            m.word("fgt snmp"),
            pem(&m.body("fgt key")),
            m.word("fgt key password"),
            m.word("fgt psk"),
            m.word("fgt radius"),
            m.word("fgt stray"),
            m.word("fgt unknown"),
            m.word("fgt policy comment"),
        ),
    );
    // Values that only their own format tells to be secrets.
    write(
        root,
        "branch-fgt-2/fgt.conf",
        &format!(
            "#config-version=FGT60F-7.2.4-FW-build1396-230131:opmode=0:vdom=0:user=admin\nconfig system interface\n    edit \"wan1\"\n        set allowaccess snmp\n    next\nend\n\
             config system snmp sysinfo\n    set status enable\nend\nconfig system snmp community\n    edit 1\n        set name \"{}\"\n    next\nend\n\
             config user tacacs+\n    edit \"t\"\n        set key \"two words {}\n and a line\"\n    next\nend\nconfig firewall policy\n    edit 1\n        set srcintf wan1\n        set key {}\n    next\nend\n",
            m.word("fgt community"),
            m.word("fgt tacacs"),
            m.word("fgt policy"),
        ),
    );
    write(
        root,
        "sense/config.xml",
        &format!(
            "<opnsense><!-- old password: {} --><system><hostname>sense</hostname><user><name>root</name><uid>0</uid><password>{}</password><otp_seed>{}</otp_seed>\n\
             <apikeys><item><key>{}</key><secret>{}</secret></item></apikeys></user><webgui><protocol>https</protocol></webgui></system>\n\
             <interfaces><wan><if>em0</if><ipaddr>dhcp</ipaddr><ppp_password>{}</ppp_password></wan></interfaces><snmpd><enable>1</enable><rocommunity>{}</rocommunity></snmpd>\n\
             <ipsec><enable>1</enable><phase1><ikeid>1</ikeid><remote-gateway>192.0.2.7</remote-gateway><pre-shared-key>{}</pre-shared-key></phase1></ipsec>\n\
             <openvpn><openvpn-client><vpnid>1</vpnid><server_addr>vpn.example</server_addr><auth_pass><![CDATA[{}]]></auth_pass><tls>{}</tls></openvpn-client></openvpn>\n\
             <OPNsense><wireguard><server><servers><server uuid=\"1\"><privkey>{}</privkey><port>51820</port></server></servers></server></wireguard></OPNsense>\n\
             <ca><prv>{}</prv></ca><installedpackages><thing><apisecret>{}</apisecret></thing></installedpackages></opnsense>\n",
            m.word("xml comment"),
            m.word("xml password"),
            m.word("xml otp"),
            m.word("xml key"),
            m.word("xml secret"),
            m.word("xml ppp"),
            m.word("xml community"),
            m.word("xml psk"),
            m.word("xml auth pass"),
            m.body("xml tls"),
            m.key("xml privkey"),
            m.body("xml prv"),
            m.word("xml package"),
        ),
    );
    // Cut in the middle of a secret.
    write(
        root,
        "sense-cut/config.xml",
        &format!(
            "<pfsense><system><user><name>admin</name><bcrypt-hash>{}</bcrypt-hash>\n<& damaged <md5-hash>{}</md5-hash>\n<pre-shared-key>{}",
            m.word("cut hash"),
            m.word("cut md5"),
            m.word("cut psk")
        ),
    );
    write(
        root,
        "branch-ros/router.rsc",
        &format!(
            "# 2025-03-04 08:15:00 by RouterOS 7.14.3\n/interface wireguard\nadd name=wg0 private-key=\\\n    \"{}\"\n/interface l2tp-server server\nset enabled=yes ipsec-secret={} use-ipsec=yes\n\
             /ip ipsec identity\nadd peer=p secret=\"two words {}\"\n/ppp secret\nadd name=ann password={}\n/snmp community\nadd name={}\n/snmp\nset enabled=yes trap-community={}\n\
             /user\nadd name=ann group=full password={}\n/radius\nadd address=10.0.0.9 secret={} service=ppp\n/ip firewall filter\nadd chain=input action=drop password={}\n\
             /interface wifi security\nadd name=w passphrase=\"{}\"\n/interface pppoe-client\nadd name=p user=u password=\\\n    {}\n\
             /system script\nadd name=s source=\"/tool fetch user=u password={} url=x\\r\\\n    \\n/ppp secret add password=\\\"{}\\\"\"\n\
             /tool fetch url=x password={}\n:local password \"{}\"\n:if (true) do={{ /ppp secret set 0 password={} }}\n\
             /ip ipsec identity\nset [ find secret={} ] disabled=yes\nadd peer=p secret={} comment=\"not closed\n",
            m.key("ros wireguard"),
            m.word("ros l2tp"),
            m.word("ros identity"),
            m.word("ros ppp"),
            m.word("ros community"),
            m.word("ros trap"),
            m.word("ros user"),
            m.word("ros radius"),
            m.word("ros rule"),
            m.word("ros wifi"),
            m.word("ros pppoe"),
            m.word("ros script"),
            m.word("ros script quoted"),
            m.word("ros fetch"),
            m.word("ros local"),
            m.word("ros block"),
            m.word("ros selector"),
            m.word("ros broken"),
        ),
    );
    write(
        root,
        "router-vyos/config.boot",
        &format!(
            "interfaces {{\n    ethernet eth0 {{\n        address dhcp\n    }}\n    pppoe pppoe0 {{\n        authentication {{\n            password {}\n        }}\n    }}\n    wireguard wg0 {{\n        peer a {{\n            preshared-key {}\n            public-key {PUBLIC}\n        }}\n        private-key {}\n    }}\n}}\nfirewall {{\n    name X {{\n        default-action drop\n    }}\n}}\nprotocols {{\n    bgp 65000 {{\n        neighbor 192.0.2.1 {{\n            password {}\n        }}\n    }}\n}}\nservice {{\n    snmp {{\n        community {} {{\n            authorization ro\n        }}\n        v3 {{\n            user u {{\n                auth {{\n                    plaintext-password \"{}\"\n                }}\n            }}\n        }}\n    }}\n}}\nsystem {{\n    login {{\n        user olga {{\n            authentication {{\n                encrypted-password $6$salt$x{}\n                plaintext-password {}\n            }}\n        }}\n    }}\n}}\nvpn {{\n    ipsec {{\n        site-to-site {{\n            peer 192.0.2.7 {{\n                authentication {{\n                    mode pre-shared-secret\n                    pre-shared-secret {}\n                }}\n            }}\n        }}\n    }}\n    l2tp {{\n        remote-access {{\n            authentication {{\n                local-users {{\n                    username eve {{\n                        password {}\n                    }}\n                }}\n            }}\n        }}\n    }}\n}}\n",
            m.word("vyos pppoe 1"),
            m.key("vyos psk"),
            m.key("vyos private key"),
            m.word("vyos bgp 1"),
            m.word("vyos community 1"),
            m.word("vyos snmp 3"),
            m.word("vyos hash"),
            m.word("vyos plain 1"),
            m.word("vyos ipsec 1"),
            m.word("vyos l2tp 1"),
        ),
    );
    write(
        root,
        "branch-vyos/gate.set",
        &format!(
            "set interfaces ethernet eth0 address dhcp\nset firewall ipv4 forward filter default-action drop\nset vpn ipsec authentication psk b secret '{}'\nset service https api keys id ops key '{}'\nset system login radius server 192.0.2.9 key '{}'\nset pki certificate gate private key '{}'\nset system login user olga authentication otp key '{}'\nset protocols ospf interface eth0 authentication md5 key-id 1 md5-key '{}'\nset firewall name X rule 10 description 'password {}'\n",
            m.word("vyos set psk 1"),
            m.word("vyos api"),
            m.word("vyos radius"),
            m.body("vyos pki").lines().next().unwrap_or_default(),
            m.word("vyos otp"),
            m.word("vyos md5"),
            m.word("vyos described 1"),
        ),
    );
    vpn_clients(root, m);
    write(root, "notes/passwords.dat", &format!("password {}\n{}\n", m.word("notes"), pem(&m.body("notes key"))));
    write(root, "staff.csv", "name,device,left\nann,ann,\nbob,bob,2026-01-01\ncarl,carl,\ndora,dora,\nemil,emil,\n");
    write(
        root,
        "baseline.yaml",
        "fwproof: 1\ntitle: Canary\nuse: [customer-data, network-edge, remote-worker, estate]\nzones:\n  internet: { addresses: public, on: { edge: eth0 } }\n  customer-data: { addresses: 10.20.0.0/24 }\nestate:\n  sites:\n    office: { firewalls: 2, devices: [edge, old] }\n  workers: { roster: staff.csv, each: [host-firewall, vpn-client, kill-switch], exported_within: 30d }\n",
    );
}

/// Files of IPsec and of VPN clients.
fn vpn_clients(root: &Path, m: &mut Marks) {
    write(
        root,
        "swan/ipsec.conf",
        "config setup\n\tcharondebug=\"ike 1\"\nconn a\n\tleft=192.0.2.1\n\tright=192.0.2.2\n\tauthby=secret\n\tauto=start\n\tleftsecretthing=nothing\n",
    );
    write(
        root,
        "swan/ipsec.secrets",
        &format!(
            "# 192.0.2.3 : PSK \"{}\"\n192.0.2.1 192.0.2.2 : PSK \"{}\"\n: RSA key.pem \"{}\"\nanna : EAP {}\nbert : XAUTH \"{}\"\n: RSA {{\n\tPrivateExponent: 0x{}\n\t}}\n{}\n",
            m.word("swan comment"),
            m.word("swan psk"),
            m.word("swan passphrase"),
            m.word("swan eap"),
            m.word("swan xauth"),
            m.word("swan rsa"),
            m.word("swan stray"),
        ),
    );
    write(
        root,
        "swanctl/swanctl.conf",
        &format!(
            "connections {{ a {{ remote_addrs = 192.0.2.9\n local {{ auth = psk }}\n remote {{ auth = psk }}\n children {{ c {{ remote_ts = 10.0.0.0/8 }} }} }} }}\n\
             secrets {{ ike-a {{ secret = \"{}\" }}\n eap-b {{ id = b\n secret = {} # x\n }}\n token-c {{ pin = {} }}\n private-d {{ file = d.pem\n secret = {} }} }}\n",
            m.word("swanctl psk"),
            m.word("swanctl eap"),
            m.word("swanctl pin"),
            m.word("swanctl key"),
        ),
    );
    write(
        root,
        "nm/a.nmconnection",
        &format!(
            "[connection]\nid=a\nuuid=1\ntype=vpn\n[vpn]\ngateway=192.0.2.9\nipsec-enabled=yes\nipsec-psk={}\nservice-type=org.freedesktop.NetworkManager.l2tp\n[vpn-secrets]\npassword={}\n",
            m.word("nm psk"),
            m.word("nm password"),
        ),
    );
    write(
        root,
        "nm/w.nmconnection",
        &format!(
            "[connection]\nid=w\nuuid=2\ntype=wireguard\n[wireguard]\nprivate-key={}\n[wireguard-peer.{PUBLIC}]\nendpoint=192.0.2.9:51820\npreshared-key={}\nallowed-ips=0.0.0.0/0\n",
            m.key("nm wireguard"),
            m.key("nm wireguard psk"),
        ),
    );
    write(
        root,
        "nm/wifi.nmconnection",
        &format!(
            "[connection]\nid=h\nuuid=3\ntype=wifi\n[wifi-security]\npsk={}\n[802-1x]\npassword={}\n",
            m.word("nm wifi"),
            m.word("nm 802")
        ),
    );
    write(
        root,
        "win/vpn.json",
        &format!(
            "{{\"Name\":\"a\",\"ServerAddress\":\"192.0.2.9\",\"TunnelType\":\"L2tp\",\"SplitTunneling\":false,\"L2tpPsk\":\"{}\"}}\n",
            m.word("win psk")
        ),
    );
    write(
        root,
        "mac/vpn.mobileconfig",
        &format!(
            "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.vpn.managed</string><key>VPNType</key><string>IPSec</string>\n\
             <key>IPSec</key><dict><key>SharedSecret</key><data>\n\t{}\n</data><key>XAuthPassword</key><string>{}</string></dict></dict>\n\
             <dict><key>PayloadType</key><string>com.apple.security.pkcs12</string><key>Password</key><string>{}</string></dict></array></dict></plist>\n",
            m.word("mac secret"),
            m.word("mac xauth"),
            m.word("mac pkcs12"),
        ),
    );
    write(
        root,
        "mac-both/both.mobileconfig",
        &format!(
            "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.security.firewall</string><key>EnableFirewall</key><true/></dict>\n\
             <dict><key>PayloadType</key><string>com.apple.vpn.managed</string><key>VPNType</key><string>IPSec</string><key>IPSec</key><dict><key>SharedSecret</key><string>{}</string></dict></dict></array></dict></plist>\n",
            m.word("mac secret beside a firewall"),
        ),
    );
    write(
        root,
        "gp/globalprotect.reg",
        &format!(
            "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Palo Alto Networks\\GlobalProtect\\Settings]\n\"connect-method\"=\"user-logon\"\n\"user-password\"=\"{}\"\n\"auth-cookie\"=\"{}\"\n",
            m.word("globalprotect password"),
            m.word("globalprotect cookie"),
        ),
    );
    write(
        root,
        "fct/vpn.xml",
        &format!(
            "<forticlient_configuration><vpn><ipsecvpn><connections><connection><name>a</name><ike_settings><server>192.0.2.9</server><authentication_method>Preshared Key</authentication_method><auth_data><preshared_key>{}</preshared_key></auth_data><xauth><enabled>1</enabled><password>{}</password></xauth></ike_settings></connection></connections></ipsecvpn></vpn></forticlient_configuration>\n",
            m.word("fct psk"),
            m.word("fct xauth"),
        ),
    );
}

fn run(root: &Path, args: &[&str]) -> (String, i32) {
    let out = Command::new(env!("CARGO_BIN_EXE_fwproof")).args(args).current_dir(root).env_clear().output().expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    (text, out.status.code().unwrap_or(-1))
}

#[test]
fn no_output_holds_a_part_of_a_secret() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path();
    let mut marks = Marks::default();
    fixtures(root, &mut marks);
    let mut leaks = String::new();
    let mut said = 0;
    let commands: &[&[&str]] = &[
        &["check", ".", "--color", "always", "--as-of", "2026-11-23"],
        &["annotate", "."],
        &["annotate", ".", "--summary"],
        &["annotate", ".", "--summary", "--json"],
        &["show", "."],
        &["show", ".", "--json"],
        &["init", "-o", "-", "."],
        &["reach", "edge"],
        &["reach", "edge", "--json"],
        &["reach", "old"],
        &["trace", "edge", "--hook", "input", "--from", "192.0.2.9", "--to", "10.0.0.1", "--proto", "tcp", "--dport", "22"],
        &["trace", "old", "--hook", "input", "--from", "192.0.2.9", "--to", "10.0.0.1", "--proto", "tcp", "--dport", "23"],
        &["check", "notes/passwords.dat"],
        &["annotate", "notes/passwords.dat"],
        &["check", ".", "-b", "notes/passwords.dat"],
        &["check", ".", "-b", "gateway/wg0.conf"],
        &["check", ".", "-b", "carl/home.ovpn"],
        &["trace", "edge", "--packets", "gateway/wg0.conf"],
        &["trace", "edge", "--packets", "notes/passwords.dat"],
    ];
    let formats = fwproof::report::FORMATS.iter().map(|f| vec!["check", ".", "--all", "--format", f.id, "--as-of", "2026-11-23"]);
    for args in formats.chain(commands.iter().map(|c| c.to_vec())) {
        let (text, _) = run(root, &args);
        said += text.len();
        if let Some((mark, part)) = marks.leak(&text) {
            let line = text.lines().find(|l| l.contains(&part)).unwrap_or("");
            leaks += &format!("{args:?} shows {part:?} of {mark}:\n    {line}\n");
        }
    }
    assert!(said > 10_000, "the commands said next to nothing");
    assert!(leaks.is_empty(), "{leaks}");
}

#[test]
fn every_format_is_read_alone_and_as_another_without_showing_a_secret() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path();
    let mut marks = Marks::default();
    fixtures(root, &mut marks);
    let files = [
        "gateway/wg0.conf",
        "broken-wg/wg0.conf",
        "carl/home.ovpn",
        "dora/cut.ovpn",
        "emil/odd.ovpn",
        "static/server.conf",
        "edge/ruleset.nft",
        "old/rules.v4",
        "branch-fgt/fgt.conf",
        "sense/config.xml",
        "sense-cut/config.xml",
        "router-vyos/config.boot",
        "swanctl/swanctl.conf",
        "nm/a.nmconnection",
        "nm/wifi.nmconnection",
        "fct/vpn.xml",
        "laptop/local.reg",
        "mac-both/both.mobileconfig",
        "gp/globalprotect.reg",
    ];
    let mut leaks = String::new();
    for file in files {
        for format in [
            "wireguard",
            "openvpn",
            "ipsec-conf",
            "ipsec-secrets",
            "swanctl",
            "networkmanager",
            "rasphone",
            "apple-vpn",
            "macos-firewall",
            "globalprotect",
            "collect-manifest",
            "listening",
            "forticlient",
            "iptables",
            "nftables",
            "nftables-json",
            "sysctl",
            "ipset",
            "ip-addr",
            "ip-route",
            "ip-rule",
            "fortios",
            "routeros",
            "opnsense",
            "pfsense",
            "ufw",
            "ufw-status",
            "vyos",
            "windows-firewall",
        ] {
            let named = format!("{file}={format}");
            let (text, _) = run(root, &["annotate", file, "--format-of", &named]);
            if let Some((mark, part)) = marks.leak(&text) {
                let line = text.lines().find(|l| l.contains(&part)).unwrap_or("");
                leaks += &format!("{file} as {format} shows {part:?} of {mark}:\n    {line}\n");
            }
        }
    }
    assert!(leaks.is_empty(), "{leaks}");
}

#[test]
fn the_search_finds_what_is_there() {
    let mut marks = Marks::default();
    let word = marks.word("shown");
    let key = marks.key("shown");
    assert!(marks.leak(&format!("x {} y", &word[word.len() - 8..])).is_some());
    assert!(marks.leak(&format!("x {} y", &key[10..18])).is_some());
    assert!(marks.leak("CANARY-").is_none());
}
