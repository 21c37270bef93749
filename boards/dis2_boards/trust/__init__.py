"""Who made a bundle: Ed25519 keys, signatures over manifests, and the keys that a board trusts."""
