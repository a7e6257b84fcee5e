package schema

import "github.com/go-json-experiment/json"

// plain has the fields of Schema without its methods.
type plain Schema

// MarshalJSON writes s as JSON Schema.
func (s Schema) MarshalJSON() ([]byte, error) {
	encoded := struct {
		*plain     `json:",inline"`
		Type       any `json:"type,omitempty"`
		Additional any `json:"additionalProperties,omitempty"`
	}{plain: (*plain)(&s), Type: s.Type}
	if s.Nullable && s.Type != "" {
		encoded.Type = []string{s.Type, "null"}
	}
	if s.Closed {
		encoded.Additional = false
	} else if s.Values != nil {
		encoded.Additional = s.Values
	}
	return json.Marshal(encoded, json.Deterministic(true))
}
