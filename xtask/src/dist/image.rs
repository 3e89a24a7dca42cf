//! An OCI image of the static programs, made without a daemon: one layer.
//!
//! Source: OCI Image Format Specification 1.1 (image layout, manifest, config).

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sockdiag_testkit::Why;

use super::sums::sha256;
use super::tarball::{Archive, gzip};
use super::{Dist, failed};

/// The image, as an archive that podman, skopeo and containerd can load.
pub(super) fn image(dist: &mut Dist) -> Result<PathBuf, Why> {
    let tree = dist.alone()?.clone();
    let path = dist.file("x86_64.oci.tar");
    let mut layer = Archive::new(dist.time);
    for directory in ["usr", "usr/bin"] {
        layer.directory(directory).map_err(failed(&path))?;
    }
    for name in ["bin/sockdiag", "bin/ss"] {
        let bytes = fs::read(tree.root.join(name)).map_err(failed(&path))?;
        layer.file(&format!("usr/{name}"), &bytes, true).map_err(failed(&path))?;
    }
    let layer = layer.end().map_err(failed(&path))?;
    let packed = gzip(&layer).map_err(failed(&path))?;
    let labels = json!({
        "org.opencontainers.image.title": "sockdiag",
        "org.opencontainers.image.description": "ss (socket statistics) reimplemented, and sockdiag, which \
         tracks sockets over time",
        "org.opencontainers.image.version": dist.version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    });
    let config = text(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Env": ["PATH=/usr/bin"], "Entrypoint": ["/usr/bin/sockdiag"], "Labels": labels },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created_by": "cargo xtask dist" }],
    }));
    let manifest = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    }));
    let mut index = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    // podman, skopeo and buildah read the first name, containerd and Docker the second.
    let name = format!("sockdiag:{}", dist.version);
    index["annotations"] = json!({
        "org.opencontainers.image.ref.name": name,
        "io.containerd.image.name": format!("localhost/{name}"),
    });
    let index = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [index],
    }));
    let mut archive = Archive::new(dist.time);
    for directory in ["blobs", "blobs/sha256"] {
        archive.directory(directory).map_err(failed(&path))?;
    }
    let mut blobs =
        [&config, &manifest, &packed].map(|blob| (format!("blobs/sha256/{}", sha256(blob)), blob));
    blobs.sort();
    for (name, blob) in blobs {
        archive.file(&name, blob, false).map_err(failed(&path))?;
    }
    archive.file("index.json", &index, false).map_err(failed(&path))?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, false).map_err(failed(&path))?;
    fs::write(&path, archive.end().map_err(failed(&path))?).map_err(failed(&path))?;
    Ok(path)
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() })
}
