# expect: KD702 KD710 KD711
import keras
import numpy as np

model = keras.applications.MobileNetV2(weights=None, classes=10)
np.random.seed(0)
keras.utils.set_random_seed(0)
model.compile("adam", "sparse_categorical_crossentropy")
print(model.fit(x, y, epochs=50).history)
