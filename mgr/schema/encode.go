package schema

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// plain has the fields of Schema without its methods.
type plain Schema

// MarshalJSON writes s as JSON Schema.
func (s Schema) MarshalJSON() ([]byte, error) {
	encoded := struct {
		*plain     `json:",inline"`
		Type       any `json:"type,omitempty"`
		Enum       any `json:"enum,omitempty"`
		Additional any `json:"additionalProperties,omitempty"`
	}{plain: (*plain)(&s), Type: s.Type}
	if s.Nullable && s.Type != "" {
		encoded.Type = []string{s.Type, "null"}
	}
	if len(s.Enum) > 0 {
		encoded.Enum = s.Enum
	}
	if s.Type == "integer" || s.Type == "number" {
		var numbers []jsontext.Value
		for _, text := range s.Enum {
			numbers = append(numbers, jsontext.Value(text))
		}
		encoded.Enum = numbers
	}
	if s.Closed {
		encoded.Additional = false
	} else if s.Values != nil {
		encoded.Additional = s.Values
	}
	return json.Marshal(encoded, json.Deterministic(true))
}
