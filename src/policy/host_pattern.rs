//! Patterns of hosts: all, `*.example.com`, `api.example.com`.

/// The hosts that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// All hosts below this domain, which starts with a dot.
    Below(String),
    /// This host alone.
    Exactly(String),
}

impl HostPattern {
    /// Parses a name of labels, or an IPv6 address in brackets, both in lower case, as the hosts of requests are compared.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let is_label = |label: &str| {
            let is_character =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            !label.is_empty() && label.bytes().all(is_character)
        };
        let is_address =
            |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok() && text == text.to_ascii_lowercase();
        if let Some(domain) = name.strip_prefix("*.").filter(|domain| domain.split('.').all(is_label)) {
            return Ok(Self::Below(format!(".{domain}")));
        }
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match address.map_or_else(|| name.split('.').all(is_label), is_address) {
            true => Ok(Self::Exactly(name.to_owned())),
            false => Err(
                "must be a name in lower case without port, or *. and a domain; left out, it is for all hosts",
            ),
        }
    }

    /// Whether the pattern matches a host in lower case.
    pub(super) fn is_for(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Self::Exactly(name) => host == name,
        }
    }
}
