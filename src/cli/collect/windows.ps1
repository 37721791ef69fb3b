# What fwproof needs of this Windows computer, in one folder: the firewall as it is in force (the active store, with what policies add), VPN
# connections, name resolution rules, addresses, routes, and what listens.
#   powershell -ExecutionPolicy Bypass -File collect.ps1 [FOLDER]
#
# It changes nothing, sends nothing and installs nothing (Windows PowerShell 5.1 or later). What only an administrator may see is named in the
# manifest. It takes no secret: private keys, pre-shared keys and passwords are cut out before anything is written.
param([string]$Folder)
$ErrorActionPreference = 'Stop'

$now = [DateTime]::UtcNow
if (-not $Folder) { $Folder = "$env:COMPUTERNAME-$($now.ToString('yyyyMMddTHHmmssZ'))" }
$me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
$elevated = if ($me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { 'yes' } else { 'no' }
$windows = Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$root = (New-Item -ItemType Directory -Path $Folder).FullName
$utf8 = New-Object Text.UTF8Encoding $false
Write-Host "Collecting firewall, VPN connections (without keys), addresses, routes and listening services into $root (this takes a minute) ..."

$manifest = New-Object Collections.ArrayList
[void]$manifest.Add("# Written by fwproof collect. Taken $($now.ToString('yyyy-MM-ddTHH:mm:ssZ'))")
[void]$manifest.Add('# Per command: what came of it, what it shows, exit code, SHA-256, file, command')
[void]$manifest.Add('fwproof-collected: 1')
[void]$manifest.Add("host: $env:COMPUTERNAME")
[void]$manifest.Add("system: Windows, $($windows.ProductName) $($windows.DisplayVersion) build $($windows.CurrentBuild).$($windows.UBR)")
[void]$manifest.Add("time: $($now.ToString('yyyy-MM-ddTHH:mm:ssZ'))")
[void]$manifest.Add("elevated: $elevated")

# Runs a block that returns a text, writes the text into a file, and notes what came of it. (A block sees the names of this function: they are
# none of its own.)
function Keep([string]$What, [string]$OutFile, [string]$Command, [scriptblock]$Block) {
    try {
        $text = [string](& $Block)
    } catch [Management.Automation.CommandNotFoundException] {
        [void]$manifest.Add("absent $What - - - $Command")
        return
    } catch {
        [void]$manifest.Add("failed $What 1 - - $Command")
        return
    }
    if (-not $text.Trim()) {
        [void]$manifest.Add("nothing $What 0 - - $Command")
        return
    }
    $path = Join-Path $root $OutFile
    [void](New-Item -ItemType Directory -Force -Path (Split-Path $path))
    [IO.File]::WriteAllText($path, $text, $utf8)
    $hash = (Get-FileHash -Algorithm SHA256 -LiteralPath $path).Hash.ToLower()
    [void]$manifest.Add("got $What 0 $hash $($OutFile.Replace('\', '/')) $Command")
}

function Json($Object) { if ($Object) { ConvertTo-Json -InputObject $Object -Depth 6 } }

# The firewall. Without the active store, rules of Group Policy and of device management would be invisible.
Keep filter firewall.json 'Get-NetFirewallRule -PolicyStore ActiveStore' {
    $active = @{ PolicyStore = 'ActiveStore' }
    $filters = @(Get-NetFirewallPortFilter @active) + @(Get-NetFirewallAddressFilter @active) + @(Get-NetFirewallApplicationFilter @active) +
        @(Get-NetFirewallServiceFilter @active) + @(Get-NetFirewallInterfaceFilter @active) + @(Get-NetFirewallInterfaceTypeFilter @active) +
        @(Get-NetFirewallSecurityFilter @active)
    Json ([pscustomobject]@{
        PolicyStore = 'ActiveStore'
        Profiles    = @(Get-NetFirewallProfile @active | Select-Object * -ExcludeProperty Cim*)
        Networks    = @(Get-NetConnectionProfile | Select-Object InterfaceAlias, @{ n = 'NetworkCategory'; e = { "$($_.NetworkCategory)" } })
        Rules       = @(Get-NetFirewallRule @active -TracePolicyStore | Select-Object * -ExcludeProperty Cim*)
        Filters     = @($filters | Select-Object * -ExcludeProperty Cim*)
    })
}

# VPN connections of Windows itself: those of the user, and those of the computer.
Keep vpn vpn.json 'Get-VpnConnection' {
    $connections = @(Get-VpnConnection) + @(Get-VpnConnection -AllUserConnection)
    Json @($connections | Where-Object { $_ } | Select-Object Name, ServerAddress, @{ n = 'TunnelType'; e = { "$($_.TunnelType)" } },
        @{ n = 'AuthenticationMethod'; e = { @($_.AuthenticationMethod | ForEach-Object { "$_" }) } }, @{ n = 'EncryptionLevel'; e = { "$($_.EncryptionLevel)" } },
        @{ n = 'L2tpIPsecAuth'; e = { "$($_.L2tpIPsecAuth)" } }, SplitTunneling, AllUserConnection, RememberCredential, IdleDisconnectSeconds, DnsSuffix,
        @{ n = 'ServerList'; e = { @($_.ServerList | Where-Object { $_ } | Select-Object ServerAddress) } },
        @{ n = 'Routes'; e = { @($_.Routes | Where-Object { $_ } | Select-Object DestinationPrefix, ExclusionRoute) } },
        @{ n = 'IPSecCustomPolicy'; e = { $_.IPSecCustomPolicy | Select-Object EncryptionMethod, IntegrityCheckMethod, DHGroup, CipherTransformConstants,
                AuthenticationTransformConstants, PfsGroup } }, PlugInApplicationID)
}
Keep network nrpt.json 'Get-DnsClientNrptRule' {
    Json @(Get-DnsClientNrptRule | Select-Object Name, DisplayName, @{ n = 'Namespace'; e = { @($_.Namespace) } }, @{ n = 'NameServers'; e = { @($_.NameServers | ForEach-Object { "$_" }) } })
}

# Other VPN clients. WireGuard for Windows encrypts its files: `wg show` tells the rest, and hides the keys.
function OpenVpn([string]$Text) {
    $Text = $Text -replace '(?ms)^([ \t]*<(key|tls-auth|tls-crypt|tls-crypt-v2|secret|pkcs12|auth-user-pass|http-proxy-user-pass|auth-gen-token-secret)>).*?^([ \t]*</)', "`$1`n# (removed)`n`$3"
    $Text -replace '(?s)-----BEGIN [^\r\n]*(PRIVATE KEY|Static key|tls-crypt).*?(-----END [^\r\n]*|\z)', '# (removed)'
}
$wireguard = "$env:ProgramFiles\WireGuard\wg.exe"
if (Test-Path $wireguard) {
    Keep vpn wireguard.txt 'wg show' {
        $lines = & $wireguard show 2>$null
        if ($LASTEXITCODE -ne 0) { throw 'wg' }
        $lines -join "`n"
    }
}
$files = Get-ChildItem -ErrorAction SilentlyContinue -Path "$env:USERPROFILE\OpenVPN\config\*.ovpn", "$env:ProgramFiles\OpenVPN\config\*.ovpn",
    "$env:ProgramFiles\OpenVPN\config-auto\*.ovpn"
foreach ($from in $files) {
    Keep vpn "openvpn\$($from.Name -replace '[^A-Za-z0-9._-]', '_')" "openvpn $($from.Name -replace '\s', '_')" { OpenVpn ([IO.File]::ReadAllText($from.FullName)) }
}
$files = Get-ChildItem -ErrorAction SilentlyContinue -Path "$env:ProgramData\Cisco\Cisco AnyConnect Secure Mobility Client\Profile\*.xml",
    "$env:ProgramData\Cisco\Cisco Secure Client\VPN\Profile\*.xml"
foreach ($from in $files) {
    Keep vpn ($from.Name -replace '[^A-Za-z0-9._-]', '_') 'anyconnect' { [IO.File]::ReadAllText($from.FullName) }
}
if (Test-Path 'HKLM:\SOFTWARE\Palo Alto Networks\GlobalProtect') {
    Keep vpn globalprotect.reg 'reg export GlobalProtect' {
        $part = Join-Path $root 'part.reg'
        & reg.exe export 'HKLM\SOFTWARE\Palo Alto Networks\GlobalProtect' $part /y | Out-Null
        $lines = Get-Content $part | Where-Object { $_ -notmatch '(?i)"[^"]*(password|passcode|cookie|token|secret)[^"]*"=' }
        Remove-Item $part
        $lines -join "`n"
    }
}

Keep network network.json 'Get-NetIPAddress, Get-NetRoute' {
    Json ([pscustomobject]@{
        Addresses = @(Get-NetIPAddress | Select-Object InterfaceAlias, IPAddress, PrefixLength, @{ n = 'PrefixOrigin'; e = { "$($_.PrefixOrigin)" } })
        Routes    = @(Get-NetRoute | Select-Object DestinationPrefix, NextHop, InterfaceAlias, RouteMetric, InterfaceMetric)
    })
}
Keep listening listening.json 'Get-NetTCPConnection -State Listen, Get-NetUDPEndpoint' {
    $names = @{}
    Get-Process | ForEach-Object { $names[[int]$_.Id] = $_.ProcessName }
    $process = @{ n = 'Process'; e = { $names[[int]$_.OwningProcess] } }
    $tcp = Get-NetTCPConnection -State Listen | Select-Object @{ n = 'Protocol'; e = { 'tcp' } }, LocalAddress, LocalPort, $process
    $udp = Get-NetUDPEndpoint | Select-Object @{ n = 'Protocol'; e = { 'udp' } }, LocalAddress, LocalPort, $process
    Json ([pscustomobject]@{ Listening = @($tcp) + @($udp) })
}

[IO.File]::WriteAllText((Join-Path $root 'manifest.txt'), ($manifest -join "`n") + "`n", $utf8)
Write-Host "Done. Look at $root\manifest.txt, then hand the folder in."
