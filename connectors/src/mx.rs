//! Whether domains take mail, as the domain name system says.

use std::sync::Arc;
use std::time::Duration;

use domain::mx::{Exchange, MailExchanges};
use futures::future::BoxFuture;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// How long all that is asked about a domain may take. Nobody waits for it, but it is only one sign among others.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the machine's own resolver.
#[derive(Clone)]
pub struct Exchanges {
    resolver: Arc<TokioResolver>,
}

impl Exchanges {
    /// With the name servers that the machine is configured for.
    ///
    /// # Errors
    /// Where that configuration cannot be read.
    pub fn of_machine() -> Result<Self, NetError> {
        Self::built(TokioResolver::builder_tokio()?)
    }

    /// With these name servers.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn new(servers: ResolverConfig) -> Result<Self, NetError> {
        Self::built(TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default()))
    }

    fn built(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NetError> {
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (TIMEOUT / 2, 1);
        Ok(Self { resolver: Arc::new(builder.build()?) })
    }

    async fn ask(&self, domain: &str) -> Exchange {
        // With a dot at its end it is looked up as it is, and not within the domain of the machine.
        let name = format!("{domain}.");
        match self.has(&name, RecordType::MX).await {
            // The domain itself takes its mail, where it names nobody else for it.
            Exchange::Missing => {
                match (self.has(&name, RecordType::A).await, self.has(&name, RecordType::AAAA).await) {
                    (Exchange::Exists, _) | (_, Exchange::Exists) => Exchange::Exists,
                    (Exchange::Missing, Exchange::Missing) => Exchange::Missing,
                    _ => Exchange::Unknown,
                }
            }
            Exchange::Unknown => Exchange::Unknown,
            Exchange::Exists => self.accepts(&name).await,
        }
    }

    /// Whether there are records of this type.
    async fn has(&self, name: &str, kind: RecordType) -> Exchange {
        match self.resolver.lookup(name, kind).await {
            Ok(found) if found.answers().iter().any(|record| record.record_type() == kind) => Exchange::Exists,
            Ok(_) => Exchange::Missing,
            Err(error) if error.is_no_records_found() => Exchange::Missing,
            Err(error) => {
                // Not the name: it may be that of a person's own domain.
                tracing::debug!(%kind, %error, "the domain name system gave no answer");
                Exchange::Unknown
            }
        }
    }

    /// A single record that names the root says that no mail is accepted. The answer comes from the resolver's memory.
    async fn accepts(&self, name: &str) -> Exchange {
        let Ok(found) = self.resolver.lookup(name, RecordType::MX).await else { return Exchange::Unknown };
        let is_real = |data: &RData| matches!(data, RData::MX(mx) if !mx.exchange.is_root());
        if found.answers().iter().any(|record| is_real(&record.data)) { Exchange::Exists } else { Exchange::Missing }
    }
}

impl MailExchanges for Exchanges {
    fn look_up<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Exchange> {
        Box::pin(async move { tokio::time::timeout(TIMEOUT, self.ask(domain)).await.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};
    use std::str::FromStr;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, MX};
    use hickory_resolver::proto::rr::{Name, Record};
    use tokio::net::UdpSocket;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_str(text).expect("a name")
    }

    /// A name server that knows a few domains; of `silent.example.` it says nothing.
    async fn server() -> u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let mx = |host: &str| RData::MX(MX::new(10, name(host)));
        let address = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
        let known: BTreeMap<&str, RData> = BTreeMap::from([
            ("takes.example.", mx("mail.takes.example.")),
            ("none.example.", mx(".")),
            ("plain.example.", address),
        ]);
        tokio::spawn(async move {
            let mut bytes = [0; 1_500];
            loop {
                let (size, from) = socket.recv_from(&mut bytes).await.expect("a question");
                let question = Message::from_vec(&bytes[..size]).expect("a message");
                let query = question.queries.first().expect("a query").clone();
                let asked = query.name().to_string().to_lowercase();
                if asked == "silent.example." {
                    continue;
                }
                let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
                answer.add_query(query.clone());
                match known.get(asked.as_str()) {
                    Some(data) if data.record_type() == query.query_type() => {
                        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
                    }
                    Some(_) => {}
                    None => answer.metadata.response_code = ResponseCode::NXDomain,
                }
                socket.send_to(&answer.to_vec().expect("bytes"), from).await.expect("sent");
            }
        });
        port
    }

    #[tokio::test]
    async fn domains_are_asked_about() {
        let mut connection = ConnectionConfig::udp();
        connection.port = server().await;
        let server = NameServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, vec![connection]);
        let exchanges = Exchanges::new(ResolverConfig::from_parts(None, Vec::new(), vec![server])).expect("a resolver");
        for (domain, expected) in [
            ("takes.example", Exchange::Exists),
            ("plain.example", Exchange::Exists),
            ("none.example", Exchange::Missing),
            ("nowhere.example", Exchange::Missing),
            ("silent.example", Exchange::Unknown),
        ] {
            assert_eq!(exchanges.look_up(domain).await, expected, "{domain}");
        }
    }
}
