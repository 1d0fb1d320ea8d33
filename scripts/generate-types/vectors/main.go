// Prints test vectors for the protobuf decoder: each kind with every field set, and with none, as the Go
// marshallers write it and as JSON. Run: go run . > ../../../src/kinds/fixtures/protobuf-vectors.json
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type vector struct {
	Name     string          `json:"name"`
	Protobuf string          `json:"protobuf"`
	Object   json.RawMessage `json:"object"`
}

// Values that must not be filled field by field.
var special = map[reflect.Type]func(n int) any{
	reflect.TypeOf(metav1.Time{}):          func(n int) any { return metav1.Unix(1700000000+int64(n), 0).Rfc3339Copy() },
	reflect.TypeOf(metav1.MicroTime{}):     func(n int) any { return metav1.MicroTime{Time: time.Unix(1700000000, int64(n)*1000).UTC()} },
	reflect.TypeOf(resource.Quantity{}):    func(n int) any { return resource.MustParse(fmt.Sprintf("%dm", n)) },
	reflect.TypeOf(runtime.RawExtension{}): func(n int) any { return runtime.RawExtension{Raw: []byte(fmt.Sprintf(`{"n":%d}`, n))} },
	reflect.TypeOf(metav1.FieldsV1{}):      func(n int) any { return metav1.FieldsV1{Raw: []byte(`{"f:spec":{}}`)} },
	reflect.TypeOf(intstr.IntOrString{}): func(n int) any {
		if n%2 == 0 {
			return intstr.FromInt32(-int32(n))
		}
		return intstr.FromString(fmt.Sprint("s", n))
	},
}

var counter int

func fill(v reflect.Value) {
	counter++
	if make, ok := special[v.Type()]; ok {
		v.Set(reflect.ValueOf(make(counter)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("s", counter))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(int64(-counter))
	case reflect.Int64:
		v.SetInt(int64(counter) << 33)
	case reflect.Uint8:
		v.SetUint(uint64(counter % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		length := 2
		if v.Type().Elem().Kind() == reflect.Struct {
			length = 1
		}
		v.Set(reflect.MakeSlice(v.Type(), length, length))
		for i := range length {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.SetMapIndex(reflect.ValueOf("k").Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Type != reflect.TypeOf(metav1.TypeMeta{}) {
				fill(v.Field(i))
			}
		}
	default:
		panic(v.Type().String())
	}
}

func main() {
	core, apps := corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion
	kinds := []struct {
		gv     schema.GroupVersion
		object runtime.Object
	}{
		{core, &corev1.Pod{}}, {core, &corev1.ConfigMap{}}, {core, &corev1.Secret{}}, {core, &corev1.Namespace{}},
		{core, &corev1.Event{}}, {core, &corev1.Node{}}, {core, &corev1.Service{}}, {core, &corev1.ServiceAccount{}},
		{apps, &appsv1.Deployment{}}, {coordinationv1.SchemeGroupVersion, &coordinationv1.Lease{}},
		{eventsv1.SchemeGroupVersion, &eventsv1.Event{}}, {networkingv1.SchemeGroupVersion, &networkingv1.Ingress{}},
		{autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{}},
		{authenticationv1.SchemeGroupVersion, &authenticationv1.TokenReview{}},
		{core, &metav1.DeleteOptions{}}, {apps, &metav1.DeleteOptions{}},
	}
	var vectors []vector
	for _, kind := range kinds {
		name := reflect.TypeOf(kind.object).Elem().Name()
		scheme := runtime.NewScheme()
		scheme.AddKnownTypeWithName(kind.gv.WithKind(name), kind.object)
		serializer := protobuf.NewSerializer(scheme, scheme)
		for _, full := range []bool{false, true} {
			counter = 0
			if full {
				fill(reflect.ValueOf(kind.object).Elem())
			}
			kind.object.GetObjectKind().SetGroupVersionKind(kind.gv.WithKind(name))
			bytes, err := runtime.Encode(serializer, kind.object)
			if err != nil {
				panic(err)
			}
			object, err := json.Marshal(kind.object)
			if err != nil {
				panic(err)
			}
			title := fmt.Sprintf("%s %s, empty", kind.gv, name)
			if full {
				title = fmt.Sprintf("%s %s, every field", kind.gv, name)
			}
			vectors = append(vectors, vector{title, base64.StdEncoding.EncodeToString(bytes), object})
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	fmt.Println("[")
	for i, v := range vectors {
		if i > 0 {
			fmt.Println(",")
		}
		if err := encoder.Encode(v); err != nil {
			panic(err)
		}
	}
	fmt.Println("]")
}
