"""Keep a `Classifier` of edgeclf loaded."""

from serving import serve

from edgeclf import Classifier


class _Peer:
    def __init__(self, model):
        self.classifier = Classifier(model)
        self.top_k = self.classifier.num_classes
        # Of the picture before. Private, but a network of its own beside the
        # classifier's would count in its memory and in the time until it is ready.
        self.invoke = self.classifier._network.invoke

    def label(self, path):
        categories = self.classifier.classify(path, top_k=self.top_k)
        categories.sort(key=lambda category: category.index)
        return [category.score for category in categories]


serve(_Peer)
