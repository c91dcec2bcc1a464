"""A local Saagie: a stand-in for the platform, for trying things out, for tests and for measuring."""
