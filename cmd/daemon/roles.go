package main

import (
	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/access/secrets"
)

// A Role is a role of the operator's own: what its principals may do.
type Role struct {
	Name      string     `toml:"name" json:"name"`
	Allow     []string   `toml:"allow,omitempty" json:"allow,omitempty"`
	Deny      []string   `toml:"deny,omitempty" json:"deny,omitempty"`
	Arguments []Argument `toml:"arguments,omitempty" json:"arguments,omitempty"`
}

// An Argument says which values an argument of some commands may have.
type Argument struct {
	Commands []string `toml:"commands" json:"commands"`
	Pointer  string   `toml:"pointer" json:"pointer"`
	Values   []any    `toml:"values" json:"values"`
}

// roles returns the roles of the file.
func (c *Config) roles() []access.Role {
	all := make([]access.Role, len(c.Role))
	for i, r := range c.Role {
		all[i] = access.Role{Name: r.Name, Allow: r.Allow, Deny: r.Deny}
		for _, a := range r.Arguments {
			all[i].Arguments = append(all[i].Arguments, access.ArgumentRule{Commands: a.Commands, Pointer: a.Pointer, Values: a.Values})
		}
	}
	return all
}

// roleNames returns the names of all roles, those that are built in first.
func (c *Config) roleNames() []string {
	names := secrets.Roles()
	for _, r := range c.Role {
		names = append(names, r.Name)
	}
	return names
}
