# sha256 6f48720aad4a234b263621f79753a6df88958c185399e7d1a540c2633874abed
# An atomic answers with several accesses.
149c\
            for access in self.objects.last_dependent_accesses(operation) {
233c\
            for access in self.objects.last_dependent_accesses(operation) {
