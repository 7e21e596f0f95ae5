//! `org.varlink.service`: what every Varlink service answers (varlink.org, "Service Introspection"), and its errors.

use super::parameters::Parameters;
use protocol::control::Interface;
use protocol::wire::Reply;
use serde_json::{Value, json};

const NAME: &str = "org.varlink.service";

const DESCRIPTION: &str = "\
# The Varlink Service Interface is provided by every varlink service. It describes the service and its interfaces.
interface org.varlink.service

# Get a list of all the interfaces a service provides and information about the implementation.
method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

# Get the description of an interface that is implemented by this service.
method GetInterfaceDescription(interface: string) -> (description: string)

# The requested interface was not found.
error InterfaceNotFound (interface: string)

# The requested method was not found.
error MethodNotFound (method: string)

# The interface defines the requested method, but the service does not implement it.
error MethodNotImplemented (method: string)

# One of the passed parameters is invalid.
error InvalidParameter (parameter: string)

# The method must be called with \"more\".
error ExpectedMore ()
";

/// Answers a call of the service interface, or refuses one of an interface that is neither it nor `ours`.
/// `None`: it is a call of ours.
pub(super) fn answer(call: &str, parameters: &Parameters, ours: &Interface) -> Option<Reply> {
    let not_found = || error("MethodNotFound", json!({"method": call}));
    let Some((interface, method)) = call.rsplit_once('.') else {
        return Some(not_found());
    };
    if interface == ours.name {
        let known = ours.methods.contains(&method);
        return (!known).then(not_found);
    }
    Some(match (interface, method) {
        (NAME, "GetInfo") => reply(json!({
            "vendor": "Agent OS",
            "product": "agentosd",
            "version": env!("CARGO_PKG_VERSION"),
            "url": env!("CARGO_PKG_REPOSITORY"),
            "interfaces": [NAME, ours.name],
        })),
        (NAME, "GetInterfaceDescription") => describe(parameters, ours),
        (NAME, _) => not_found(),
        (other, _) => error("InterfaceNotFound", json!({"interface": other})),
    })
}

fn describe(parameters: &Parameters, ours: &Interface) -> Reply {
    match parameters.text("interface") {
        Some(NAME) => reply(json!({"description": DESCRIPTION})),
        Some(name) if name == ours.name => reply(json!({"description": ours.text})),
        Some(other) => error("InterfaceNotFound", json!({"interface": other})),
        None => error("InvalidParameter", json!({"parameter": "interface"})),
    }
}

/// The refusal of a method that replies many times to a caller that takes one reply.
pub(super) fn expected_more() -> Reply {
    error("ExpectedMore", json!({}))
}

/// The refusal of a call whose flags ask for what no method here does.
pub(super) fn not_implemented(method: &str) -> Reply {
    error("MethodNotImplemented", json!({"method": method}))
}

fn reply(parameters: Value) -> Reply {
    let Value::Object(parameters) = parameters else { return Reply::default() };
    Reply { parameters, ..Reply::default() }
}

fn error(name: &str, parameters: Value) -> Reply {
    Reply { error: Some(format!("{NAME}.{name}")), ..reply(parameters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, parameters: Value) -> Option<Reply> {
        let Value::Object(parameters) = parameters else { panic!() };
        answer(method, &Parameters::new(parameters, 0), &protocol::control::SELF)
    }

    #[test]
    fn strangers_are_answered_as_the_specification_says() {
        let error = |method, parameters| call(method, parameters).unwrap().error.unwrap();
        assert_eq!(error("org.varlink.service.Nope", json!({})), "org.varlink.service.MethodNotFound");
        assert_eq!(error("io.agentos.Control.Nope", json!({})), "org.varlink.service.MethodNotFound");
        assert_eq!(error("io.other.Run", json!({})), "org.varlink.service.InterfaceNotFound");
        assert_eq!(error("Run", json!({})), "org.varlink.service.MethodNotFound");
        let describe = "org.varlink.service.GetInterfaceDescription";
        assert_eq!(error(describe, json!({})), "org.varlink.service.InvalidParameter");
        assert_eq!(error(describe, json!({"interface": "a.b"})), "org.varlink.service.InterfaceNotFound");
        assert!(call("io.agentos.Control.Run", json!({})).is_none());
    }

    #[test]
    fn both_interfaces_are_listed_and_described() {
        let info = call("org.varlink.service.GetInfo", json!({})).unwrap().parameters;
        for name in info["interfaces"].as_array().unwrap() {
            let text = call("org.varlink.service.GetInterfaceDescription", json!({"interface": name})).unwrap();
            let text = text.parameters["description"].as_str().unwrap();
            assert!(text.contains(&format!("interface {}\n", name.as_str().unwrap())));
        }
    }
}
