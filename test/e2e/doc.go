// Package e2e has tests of whole programs, and of a manager with its clients on every transport.
package e2e
