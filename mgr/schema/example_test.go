package schema_test

import (
	"fmt"
	"reflect"

	"github.com/rudderpost/rudderpost/mgr/schema"
)

func Example() {
	type lease struct {
		Address string `json:"ip-address" doc:"The address to lease." schema:"format=ipv4"`
		Seconds int    `json:"valid-lft,omitzero" schema:"min=60,max=86400"`
		State   string `json:"state,omitzero" schema:"enum=default|declined"`
	}
	s, err := schema.Of(reflect.TypeFor[lease]())
	if err != nil {
		panic(err)
	}
	for _, problem := range s.Check([]byte(`{"valid-lft": 5, "state": "lost", "mac": "-"}`)) {
		fmt.Println(problem.Pointer, problem.Text)
	}
	// Output:
	// /ip-address Missing mandatory 'ip-address' parameter.
	// /mac Unsupported 'mac' parameter.
	// /state 'state' parameter must be one of 'default', 'declined'.
	// /valid-lft 'valid-lft' parameter must be at least 60.
}
