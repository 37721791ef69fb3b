firewall {
    name GUESTS-INTERNET {
        default-action accept
        rule 10 {
            action drop
            destination {
                address 10.0.0.0/8
            }
        }
    }
}
interfaces {
    ethernet eth0 {
        address 203.0.113.2/24
    }
    ethernet eth1 {
        address 10.1.0.1/16
    }
    ethernet eth2 {
        address 198.51.100.1/24
    }
    ethernet eth3 {
        address 10.66.0.1/16
    }
}
zone-policy {
    zone GUESTS {
        default-action drop
        interface eth3
    }
    zone OFFICE {
        default-action drop
        interface eth1
    }
    zone INTERNET {
        default-action drop
        interface eth0
        from GUESTS {
            firewall {
                name GUESTS-INTERNET
            }
        }
    }
}
/* Warning: Do not remove the following line. */
/* === vyatta-config-version: "config-management@1:conntrack@1:dhcp-server@4:firewall@5:ipsec@5:nat@3:qos@1:quagga@2:system@4:webgui@1:zone-policy@1" === */
/* Release version: v2.0.9-hotfix.7 */
