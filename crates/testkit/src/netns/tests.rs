//! Tests of namespaces; each checks what a program inside can see.

use super::*;

fn output(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_program_inside_sees_another_network_and_we_do_not_move() {
    let Some(namespace) = Namespace::or_skip() else { return };
    moved_in(&namespace);
}

/// Root can use a user namespace too, so this path is tested wherever root's is.
#[test]
fn a_user_namespace_serves_as_well() {
    match Namespace::made_by(Privilege::UserNamespace) {
        Ok(namespace) => {
            moved_in(&namespace);
            namespace.sysctl("net/ipv4/tcp_retries2", "77").unwrap();
        }
        Err(why) => crate::skip!("{why}"),
    }
}

fn moved_in(namespace: &Namespace) {
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    let theirs = output(namespace.command("readlink").arg("/proc/self/ns/net"));
    assert_eq!(theirs.trim_end(), format!("net:[{}]", namespace.inode().unwrap()));
    assert_ne!(theirs.trim_end(), ours.to_str().unwrap());
    assert_eq!(fs::read_link("/proc/self/ns/net").unwrap(), ours);
    assert_eq!(output(namespace.command("id").arg("-u")), "0\n");
}

#[test]
fn the_working_directory_is_kept() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let here = std::env::current_dir().unwrap();
    assert_eq!(output(&mut namespace.command("pwd")), format!("{}\n", here.display()));
    assert_eq!(output(namespace.command("pwd").current_dir("/proc")), "/proc\n");
}

#[test]
fn devices_are_up_with_their_addresses() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let addresses = output(namespace.command("cat").arg("/proc/net/if_inet6"));
    // address, index, prefix length, scope, flags, name
    assert!(addresses.contains("00000000000000000000000000000001 01 80"), "{addresses}");
    let trie = output(namespace.command("cat").arg("/proc/net/fib_trie"));
    assert!(trie.contains("127.0.0.1"), "{trie}");
    let Some(name) = namespace.second_device() else { crate::skip!("no second device") };
    for address in ["20010db8000000000000000000000001", "fe800000000000000000000000000001"] {
        let line = addresses.lines().find(|line| line.starts_with(address)).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!((words[1], words[5]), ("64", name), "{line}");
    }
    assert!(trie.contains("192.0.2.1"), "{trie}");
    namespace.add_address(SECOND, "198.51.100.7".parse().unwrap(), 24).unwrap();
    assert!(output(namespace.command("cat").arg("/proc/net/fib_trie")).contains("198.51.100.7"));
    let again = namespace.add_address(SECOND, "198.51.100.7".parse().unwrap(), 24).unwrap_err();
    assert!(again.to_string().contains("File exists"), "{again}");
}

#[test]
fn sysctls_are_the_namespaces_own() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let path = "/proc/sys/net/ipv4/tcp_retries2";
    let outside = fs::read_to_string(path).unwrap();
    namespace.sysctl("net/ipv4/tcp_retries2", "77").unwrap();
    assert_eq!(output(namespace.command("cat").arg(path)), "77\n");
    assert_eq!(fs::read_to_string(path).unwrap(), outside);
    assert!(namespace.sysctl("net/ipv4/no_such_thing", "1").is_err());
}

#[test]
fn the_holder_ends_with_the_namespace() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let pid = namespace.holder.id();
    assert!(fs::exists(format!("/proc/{pid}/ns/net")).unwrap());
    drop(namespace);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
}
