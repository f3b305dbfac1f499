//! Images go to a real registry and come back: Debian's `docker-registry`.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod registry_kit;

use registry_kit::{TestStore, client, image, keep, noise, reference};
use samara_package::registry::Silent;
use samara_test::registry::{DockerRegistry, Setup};

#[test]
fn an_image_goes_there_and_comes_back() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let image = image(&[&noise(1, 300_000), &noise(2, 3_000_000), b"", &noise(2, 3_000_000)]);
    let (here, there) = (TestStore::new(), TestStore::new());
    keep(&here.store, &image);
    let name = reference(format!("{}/team/digits:1", registry.host()));
    let client = client();
    let pushed = client.push(&here.store, &image.digest, &name, &Silent).unwrap();
    assert_eq!(pushed.digest, image.digest);
    // The layer that is named twice travels once.
    assert_eq!((pushed.blobs, pushed.sent), (4, 3_300_000 + image.config.len() as u64));

    let resolved = client.resolve(&name).unwrap();
    assert_eq!((resolved.digest, resolved.size), (image.digest, image.bytes.len() as u64));

    let session = there.store.session().unwrap();
    let pull = client.begin_pull(&session, &name).unwrap();
    assert_eq!((pull.digest(), pull.manifest()), (&image.digest, &image.manifest));
    assert_eq!(pull.missing().len(), 3);
    pull.layers(&Silent).unwrap();
    assert!(pull.missing().is_empty());
    assert!(there.has(&image));
    assert!(there.store.referrers(&image.digest).unwrap().is_empty());

    // What the registry has does not travel again.
    let again = client.push(&here.store, &image.digest, &name.with_tag("2").unwrap(), &Silent).unwrap();
    assert_eq!((again.blobs, again.sent), (0, 0));
}
