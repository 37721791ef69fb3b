firewall {
    ipv4 {
        forward {
            filter {
                default-action drop
                rule 10 {
                    action accept
                    source {
                        address 10.1.0.0/16
                    }
                    destination {
                        address 192.0.2.0/24
                    }
                }
            }
        }
    }
    ipv6 {
        forward {
            filter {
                default-action drop
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

// Warning: Do not remove the following line.
// vyos-config-version: "conntrack@6:dhcp-server@11:firewall@20:https@7:interfaces@33:ipsec@13:nat@8:nat66@3:policy@9:ssh@2:system@29:vrf@3"
// Release version: 1.5-rolling-202511010020
