firewall {
    name FROM {
        default-action drop
        rule 10 {
            action drop
            destination {
                port 25
            }
            protocol tcp
        }
        rule 20 {
            action accept
        }
    }
    ipv6-name FROM6 {
        default-action drop
        rule 10 {
            action drop
            destination {
                port 25
            }
            protocol tcp
        }
        rule 20 {
            action accept
        }
    }
}
interfaces {
    ethernet eth0 {
        address 203.0.113.2/24
    }
    ethernet eth1 {
        address 10.1.0.1/16
        firewall {
            in {
                name FROM
                ipv6-name FROM6
            }
        }
    }
    ethernet eth2 {
        address 198.51.100.1/24
    }
    ethernet eth3 {
        address 10.66.0.1/16
    }
}
/* Warning: Do not remove the following line. */
/* === vyatta-config-version: "config-management@1:conntrack@1:dhcp-server@4:firewall@5:ipsec@5:nat@3:qos@1:quagga@2:system@4:webgui@1:zone-policy@1" === */
/* Release version: v2.0.9-hotfix.7 */
