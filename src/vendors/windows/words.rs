//! The words of netsh in English, German, French and Spanish.
//!
//! Labels and values as Windows prints them; what is not here is not guessed. Some values are not translated by Windows at all
//! (`BlockInbound,AllowOutbound`), and some oddly: French has `Actif` for the direction "in".

use super::profile::Profile;
use super::props::{Key, bare};
use super::settings::Setting;

/// Labels of `netsh advfirewall firewall show rule`, as [`bare`] gives them.
const LABELS: &[(Key, &[&str])] = &[
    (Key::DisplayName, &["rulename", "regelname", "nomdelarègle", "nombrederegla"]),
    (Key::Description, &["description", "beschreibung", "descripción"]),
    (Key::Enabled, &["enabled", "aktiviert", "activé", "activée", "habilitada", "habilitado"]),
    (Key::Direction, &["direction", "richtung", "sens", "dirección"]),
    (Key::Profile, &["profiles", "profile", "profils", "perfiles"]),
    (Key::Group, &["grouping", "gruppierung", "groupement", "agrupamiento", "agrupación"]),
    (Key::LocalAddress, &["localip", "lokalesip", "lokaleip", "iplocale", "iplocal"]),
    (Key::RemoteAddress, &["remoteip", "ipdistante", "ipremota", "ipremotas"]),
    (Key::Protocol, &["protocol", "protokoll", "protocole", "protocolo"]),
    (Key::LocalPort, &["localport", "lokalerport", "portlocal", "puertolocal"]),
    (Key::RemotePort, &["remoteport", "portdistant", "puertoremoto"]),
    (Key::Edge, &["edgetraversal", "edgeausnahme", "edgeüberquerung", "traverséelatérale", "crucesegurodelperímetro"]),
    (Key::Program, &["program", "programm", "programme", "programa"]),
    (Key::Service, &["service", "dienst", "servicio"]),
    (
        Key::InterfaceType,
        &["interfacetypes", "schnittstellentypen", "typesd'interface", "typesd’interface", "typesdinterfaces", "tiposdeinterfaz"],
    ),
    (Key::Authentication, &["security", "sicherheit", "sécurité", "seguridad"]),
    (Key::StoreType, &["rulesource", "regelquelle", "sourcedelarègle", "origendelaregla", "origenderegla"]),
    (Key::Action, &["action", "aktion", "acción"]),
];

/// The property that a label of netsh means.
pub(super) fn label(text: &str) -> Option<Key> {
    let name = bare(text.trim_end_matches([':', '\u{a0}', ' ']));
    let name = name.trim_end_matches('\u{a0}');
    LABELS.iter().find(|(_, names)| names.contains(&name)).map(|(k, _)| *k)
}

/// Values by what they mean in English.
const VALUES: &[(&str, &[&str])] = &[
    ("Any", &["any", "beliebig", "tout", "tous", "toutes", "cualquiera"]),
    ("Yes", &["yes", "ja", "oui", "sí", "si"]),
    ("No", &["no", "nein", "non"]),
    ("Allow", &["allow", "zulassen", "autoriser", "permitir"]),
    ("Block", &["block", "blockieren", "blocken", "bloquer", "bloquear"]),
    ("Bypass", &["bypass", "umgehen", "sicher", "contourner", "omitir"]),
    ("Domain", &["domain", "domäne", "domaine", "dominio"]),
    ("Private", &["private", "privat", "privé", "privada", "privado"]),
    ("Public", &["public", "öffentlich", "pública", "público"]),
    (
        "NotRequired",
        &["notrequired", "nichterforderlich", "nonrequis", "nonrequise", "norequerido", "norequerida", "noesnecesario", "noesnecesaria"],
    ),
    ("Local", &["localsetting", "lokaleeinstellung", "paramètrelocal", "configuraciónlocal"]),
    (
        "GroupPolicy",
        &["grouppolicysetting", "gruppenrichtlinieneinstellung", "paramètredestratégiedegroupe", "configuracióndedirectivadegrupo"],
    ),
    ("Dynamic", &["dynamicsetting", "dynamischeeinstellung", "paramètredynamique", "configuracióndinámica"]),
    ("LocalSubnet", &["localsubnet", "lokalessubnetz", "sousréseaulocal", "subredlocal"]),
    ("DefaultGateway", &["defaultgateway", "standardgateway", "passerellepardéfaut", "puertadeenlacepredeterminada"]),
    ("Wireless", &["wireless", "drahtlos", "sansfil", "inalámbrica"]),
    ("LAN", &["lan"]),
    ("RemoteAccess", &["ras", "remoteaccess", "remotezugriff", "accèsdistant", "accesoremoto"]),
];

/// Words of the direction alone: `Ein` is also "on".
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("Inbound", &["in", "inbound", "eingehend", "ein", "actif", "entrée", "entrant", "dentro", "entrada"]),
    ("Outbound", &["out", "outbound", "ausgehend", "aus", "inactif", "sortie", "sortant", "fuera", "salida"]),
];

fn look(table: &'static [(&'static str, &'static [&'static str])], text: &str) -> Option<&'static str> {
    let word = bare(text);
    table.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(english, _)| *english)
}

/// A value in English; what is not known stays as it is.
pub(super) fn value(key: Key, text: &str) -> Vec<String> {
    let table = if key == Key::Direction { DIRECTIONS } else { VALUES };
    // Free text is never translated.
    if matches!(key, Key::DisplayName | Key::Description | Key::Group | Key::Program | Key::Service) {
        let text = text.trim();
        let any = key != Key::DisplayName && look(VALUES, text) == Some("Any");
        return vec![if any { "Any".into() } else { text.to_owned() }];
    }
    text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(|w| look(table, w).map_or_else(|| w.to_owned(), str::to_owned)).collect()
}

/// The profile that a heading of `netsh advfirewall show allprofiles` names.
pub(super) fn heading(line: &str) -> Option<Profile> {
    let line = line.trim().trim_end_matches([':', ' ', '\u{a0}']).to_lowercase();
    let of_profile = line.contains("profil") || line.contains("perfil");
    if !of_profile || line.len() > 80 {
        return None;
    }
    let has = |words: &[&str]| words.iter().any(|w| line.contains(w));
    match () {
        () if has(&["domain", "domän", "dominio"]) => Some(Profile::Domain),
        () if has(&["privat", "privé", "privad"]) => Some(Profile::Private),
        () if has(&["public", "öffentlich", "públic"]) => Some(Profile::Public),
        () => None,
    }
}

/// Labels of `netsh advfirewall show allprofiles`.
pub(super) enum ProfileLabel {
    Setting(Setting),
    /// `BlockInbound,AllowOutbound`
    Policy,
    Irrelevant,
}

/// What a label of a profile's listing means.
pub(super) fn profile_label(text: &str) -> Option<ProfileLabel> {
    Some(match bare(text.trim_end_matches(':')).as_str() {
        "state" | "status" | "état" | "estado" => ProfileLabel::Setting(Setting::Enabled),
        "firewallpolicy" | "firewallrichtlinie" | "stratégiedeparefeu" | "directivadefirewall" | "directivadelfirewall" => {
            ProfileLabel::Policy
        }
        "localfirewallrules" => ProfileLabel::Setting(Setting::LocalRules),
        "inboundusernotification" => ProfileLabel::Setting(Setting::Notify),
        "logallowedconnections" => ProfileLabel::Setting(Setting::LogAllowed),
        "logdroppedconnections" => ProfileLabel::Setting(Setting::LogDropped),
        "maxfilesize" => ProfileLabel::Setting(Setting::LogSize),
        "localconsecrules" | "remotemanagement" | "unicastresponsetomulticast" | "filename" => ProfileLabel::Irrelevant,
        _ => return None,
    })
}

/// On or off, enabled or disabled.
pub(super) fn switch(text: &str) -> Option<bool> {
    match bare(text).as_str() {
        "on" | "ein" | "actif" | "activé" | "activar" | "activado" | "activada" | "enable" | "enabled" | "aktivieren" | "aktiviert"
        | "activer" | "habilitar" | "habilitado" => Some(true),
        "off" | "aus" | "inactif" | "désactivé" | "desactivar" | "desactivado" | "desactivada" | "disable" | "disabled"
        | "deaktivieren" | "deaktiviert" | "désactiver" | "deshabilitar" | "deshabilitado" => Some(false),
        _ => None,
    }
}
