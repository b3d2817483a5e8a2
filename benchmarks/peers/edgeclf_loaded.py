"""Keep a `Classifier` of edgeclf loaded."""

from serving import serve

from edgeclf import Classifier


class _Peer:
    def __init__(self, model):
        self.classifier = Classifier(model)
        self.top_k = self.classifier.num_classes
        self.invoke = self.classifier._network.invoke  # of the picture before

    def label(self, path):
        categories = self.classifier.classify(path, top_k=self.top_k)
        categories.sort(key=lambda category: category.index)
        return [category.score for category in categories]


serve(_Peer)
