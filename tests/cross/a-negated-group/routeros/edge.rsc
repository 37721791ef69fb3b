# 2025-05-06 07:08:09 by RouterOS 7.15.3
# software id = TEST-0001
#
# model = RB4011iGS+
/interface ethernet
set [ find default-name=ether1 ] name=eth0
set [ find default-name=ether2 ] name=eth1
set [ find default-name=ether3 ] name=eth2
set [ find default-name=ether4 ] name=eth3
/ip address
add address=203.0.113.2/24 interface=eth0 network=203.0.113.0
add address=10.1.0.1/16 interface=eth1 network=10.1.0.0
add address=198.51.100.1/24 interface=eth2 network=198.51.100.0
add address=10.66.0.1/16 interface=eth3 network=10.66.0.0
/ip firewall address-list
add address=10.0.0.0/8 list=blocked
add address=203.0.113.0/24 list=blocked
/ip firewall filter
add action=accept chain=forward connection-state=established,related
add action=drop chain=forward connection-state=invalid
add action=accept chain=forward comment=web dst-address=192.0.2.10 \
    dst-port=80 in-interface=eth0 out-interface=eth2 protocol=tcp \
    src-address-list=!blocked
add action=drop chain=forward
add action=accept chain=input connection-state=established,related
add action=drop chain=input
/ip route
add dst-address=0.0.0.0/0 gateway=203.0.113.1
add dst-address=10.0.0.0/8 gateway=10.1.0.254
add dst-address=192.0.2.0/24 gateway=198.51.100.2
/ipv6 route
add dst-address=::/0 gateway=eth0
add dst-address=2001:db8:2::/48 gateway=2001:db8:f0::2
/ipv6 address
add address=2001:db8:1::1/48 advertise=no interface=eth1
add address=2001:db8:f0::1/64 advertise=no interface=eth2
/ipv6 firewall filter
add action=accept chain=forward connection-state=established,related
add action=drop chain=forward
add action=drop chain=input
/system identity
set name=edge
