// Package schema describes the arguments and replies of commands: [Of] makes a JSON Schema from a Go
// type and its tags, and [Schema.Check] checks JSON against it and lists all problems.
//
// The members of a struct are its JSON fields (tag "json", as the JSON package reads it). One is
// required unless it is a pointer or has the option omitempty or omitzero. Two more tags add facts that a
// type cannot have:
//
//	type lease struct {
//		Address string `json:"ip-address" doc:"The address to lease." schema:"format=ipv4"`
//		Seconds int    `json:"valid-lft,omitzero" schema:"min=60,max=86400"`
//		State   string `json:"state,omitzero" schema:"enum=default|declined"`
//	}
//
// The tag schema takes min, max (numbers), minlen, maxlen (texts and lists), enum (values between
// bars), pattern (RE2, the last entry, since it may have commas), format, example, and secret, for values
// that are never shown.
//
// Problems have Kea's texts, since Kea's clients match them.
package schema

// A Schema describes JSON values: the part of JSON Schema 2020-12 that Go types and the tags need.
// The zero Schema allows each value. It is encoded as JSON Schema.
type Schema struct {
	Type        string             `json:"type,omitempty"` // "object", "array", "string", "integer", "number", "boolean"
	Description string             `json:"description,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Closed      bool               `json:"-"` // no members but Properties
	Values      *Schema            `json:"-"` // the schema of all other members; nil: any value
	Items       *Schema            `json:"items,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	MinLength   int                `json:"minLength,omitzero"`
	MaxLength   int                `json:"maxLength,omitzero"`
	MinItems    int                `json:"minItems,omitzero"`
	MaxItems    int                `json:"maxItems,omitzero"`
	Pattern     string             `json:"pattern,omitempty"`
	Format      string             `json:"format,omitempty"` // shown, not checked
	Examples    []string           `json:"examples,omitempty"`
	Nullable    bool               `json:"-"`                  // null is allowed as well
	Secret      bool               `json:"writeOnly,omitzero"` // the value is a secret: it is accepted, and never shown

	unsigned bool // the Go type has no number below 0
}

// HasSecret reports whether some value is a secret, at any depth.
func (s *Schema) HasSecret() bool {
	if s == nil {
		return false
	}
	for _, member := range s.Properties {
		if member.HasSecret() {
			return true
		}
	}
	return s.Secret || s.Items.HasSecret() || s.Values.HasSecret()
}

// A Schemer is a type with a schema of its own; Of calls JSONSchema on its zero value.
type Schemer interface{ JSONSchema() *Schema }
