// Package security has tests of abuse, of credentials and their revocation, of roles and of the record.
package security
