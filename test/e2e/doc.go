// Package e2e has tests of a whole daemon, over all transports.
package e2e
