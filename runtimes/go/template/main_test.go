package function

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandle(t *testing.T) {
	answer := httptest.NewRecorder()
	Handle(answer, httptest.NewRequest("GET", "/?name=Ada", nil))
	if !strings.Contains(answer.Body.String(), "Hello, Ada!") {
		t.Errorf("answered %s", answer.Body)
	}
}
