package service

import (
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

func TestEventsGoTogetherAndTheLastOnesWithTheEnd(t *testing.T) {
	sent := make(chan int, 10)
	r := gather(func(batch []apitype.EngineEvent) { sent <- len(batch) }, time.Hour)
	for range batchSize + 3 {
		r.add(apitype.EngineEvent{})
	}
	if full := <-sent; full != batchSize {
		t.Errorf("%d events in a full batch", full)
	}
	r.end()
	if rest := <-sent; rest != 3 {
		t.Errorf("%d events at the end", rest)
	}
	if len(sent) != 0 {
		t.Error("an empty batch was sent")
	}
}

func TestAnEventDoesNotWaitForOthersForLong(t *testing.T) {
	sent := make(chan int, 10)
	r := gather(func(batch []apitype.EngineEvent) { sent <- len(batch) }, soon)
	defer r.end()
	r.add(apitype.EngineEvent{})
	if alone := <-sent; alone != 1 {
		t.Errorf("%d events", alone)
	}
}
