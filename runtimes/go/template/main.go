// Package function answers requests. Handle is called once for each, many at a time.
package function

import (
	"encoding/json"
	"net/http"
)

// Handle says hello to whom the query names: /?name=Ada.
func Handle(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		name = "world"
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"message": "Hello, " + name + "!"})
}
