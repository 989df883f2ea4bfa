"""Our own drums separator: mixes in, the drums of each out."""
