module example.org/fifo

go 1.26.0

require (
	github.com/rudderpost/rudderpost v0.0.0
	golang.org/x/sys v0.49.0
)

require github.com/go-json-experiment/json v1.27.2 // indirect

replace github.com/rudderpost/rudderpost => ../..
