// Package docs has tests of the documentation: its commands run, its links lead somewhere, and its prose keeps our rules.
package docs
