// Package interop has tests with programs of other projects: those of Kea, TLS clients, and shells.
package interop
