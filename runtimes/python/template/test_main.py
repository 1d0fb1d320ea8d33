import types
import unittest

from main import handler


class Greeting(unittest.TestCase):
    def test_by_name(self):
        request = types.SimpleNamespace(args={"name": "Ada"})
        self.assertEqual(handler(request), {"hello": "Ada"})


if __name__ == "__main__":
    unittest.main()
