// Package schema describes the arguments and replies of commands: it makes a JSON Schema of a Go
// type and its tags, and checks JSON against it, naming everything that is wrong.
//
// The members of a struct are its JSON fields (tag "json", as the JSON package reads it). One is
// required unless it is a pointer or has the option omitempty or omitzero. Two more tags say what a
// type cannot:
//
//	type lease struct {
//		Address string `json:"ip-address" doc:"The address to lease." schema:"format=ipv4"`
//		Seconds int    `json:"valid-lft,omitzero" schema:"min=60,max=86400"`
//		State   string `json:"state,omitzero" schema:"enum=default|declined"`
//	}
//
// The tag schema takes min, max (numbers), minlen, maxlen (texts and lists), enum (values between
// bars), pattern (RE2, the last entry, since it may hold commas), format, example, and secret, for what
// is never to be shown.
//
// Problems are told in Kea's words, since Kea's clients know them.
package schema

// A Schema describes JSON values: the part of JSON Schema 2020-12 that Go types and the tags need.
// The zero Schema allows everything. It is encoded as JSON Schema.
type Schema struct {
	Type        string             `json:"type,omitempty"` // "object", "array", "string", "integer", "number", "boolean"
	Description string             `json:"description,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Closed      bool               `json:"-"` // no members but Properties
	Values      *Schema            `json:"-"` // what all other members are
	Items       *Schema            `json:"items,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	MinLength   int                `json:"minLength,omitzero"`
	MaxLength   int                `json:"maxLength,omitzero"`
	MinItems    int                `json:"minItems,omitzero"`
	MaxItems    int                `json:"maxItems,omitzero"`
	Pattern     string             `json:"pattern,omitempty"`
	Format      string             `json:"format,omitempty"` // told, not checked
	Examples    []string           `json:"examples,omitempty"`
	Nullable    bool               `json:"-"`                  // null is allowed as well
	Secret      bool               `json:"writeOnly,omitzero"` // the value is a secret: it is taken, and never shown

	unsigned bool // the Go type knows no number below 0
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

// A Schemer is a type that describes itself.
type Schemer interface{ JSONSchema() *Schema }
